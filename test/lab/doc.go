// Package lab builds hosts out of network namespaces: each has its own address on one switch, its own processes and its own folder, and can be
// killed, cut off, frozen or powered off while the others run on. End-to-end tests, benchmarks and torture runs stand on it.
//
// A host loses power as a real one does: its link goes first and its processes after, so that no FIN or RST leaves it and peers learn
// of the loss by silence alone. A cut takes the host's port out of the switch: frames vanish, the interface keeps its carrier, and neighbour
// entries are permanent, so that nobody is told by ARP either. This is what a cloud network shows, and the hardest case for detection.
//
// Everything that a lab makes carries its run's identity (process id and start time) in its name. A run that dies without
// cleaning up is cleaned up by the next one: see Reap. The switch and all links live in namespaces of the lab; the machine's own
// network is never touched. Root is needed, and Available says why a machine cannot run a lab.
//
// What namespaces cannot show: clocks of hosts that differ, a kernel that stops, a disk that lies. A frozen host (Freeze) still has its TCP
// acknowledged by the kernel, as has a paused container but not a paused virtual machine.
package lab
