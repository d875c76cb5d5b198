// Command quorate keeps a PostgreSQL cluster writable: consensus store, failover manager and router in one binary, and the commands
// to look at a cluster and change it.
//
// Called through a link named patroni, patronictl or etcd, it takes that program's command line.
package main

import (
	"os"
	"syscall"
	"unsafe"
)

func main() {
	code := run(os.Args, stdio{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Environ())
	if code > bySignal {
		endBySignal(syscall.Signal(code - bySignal))
	}
	os.Exit(code)
}

// endBySignal ends the process as the signal would have, had nobody caught it: who waits for an etcd sees that. Process 1 of a container, which no
// signal ends, ends with 0, as etcd does.
func endBySignal(s syscall.Signal) {
	if os.Getpid() == 1 {
		os.Exit(exitOK)
	}
	// signal.Reset would restore what the process began with, and a shell has the children that it starts with & ignore SIGINT.
	var byDefault [4]uint64 // as the kernel lays out a sigaction; zero is SIG_DFL
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	_ = syscall.Kill(os.Getpid(), s)
	select {}
}
