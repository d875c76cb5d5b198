// Package relay carries bytes between pairs of sockets: the pass-through phase of the router's sessions.
//
// A pair of goroutines for each session would do the same in a page of code, and cost two stacks and two buffers for each of
// ten thousand idle sessions. Here a session is a Flow of a few hundred bytes, and a few loops, one per core, serve all of
// them by epoll (edge triggered). A loop reads into a buffer of its own and writes at once; only what a slow receiver does not take
// is kept, at most one buffer's worth a direction, and no more is read until it has gone. While a direction carries bulk the
// kernel moves its bytes itself (splice), through a pipe that is given back as soon as the flow pauses.
//
//	          Start            both ended, or one lost           closed
//	(owner) --------> passing ------------------------> silent ---------> gone
//	                     \--- End ---> parting (the client reads its last message) ---/
//
// A loop must neither block nor hold a processor while it waits. It looks for events without waiting first, then waits a fraction of a
// millisecond in the kernel (under load the next event is there by then, and a wake-up through the scheduler is saved), and then
// parks in Go's own poller like any other goroutine.
package relay
