package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// passedOn are the signals that Patroni's first process passes on (patroni/__main__.py, main).
var passedOn = []os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGTERM,
}

// asFirstProcess runs c for process 1 of a container, which inherits every orphan there and has to collect it: what the scripts of hooks leave running.
// It passes signals on and ends with c, as c did. A host itself cannot do that: whoever waits for all children takes away the ends of those that it started.
func asFirstProcess(c *exec.Cmd) error {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passedOn...)
	defer signal.Stop(signals)
	if err := c.Start(); err != nil {
		return err
	}
	go func() {
		for s := range signals {
			_ = c.Process.Signal(s)
		}
	}()
	for {
		var end unix.WaitStatus
		pid, err := unix.Wait4(-1, &end, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("waiting for the process of this host: %w", err)
		case pid != c.Process.Pid:
		case end.Signaled():
			return fmt.Errorf("the process of this host was ended: %s", end.Signal())
		case end.ExitStatus() != 0:
			return exitError(end.ExitStatus())
		default:
			return nil
		}
	}
}

// again is this command line once more, for a process of its own.
func again() *exec.Cmd {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c
}
