package instance

import (
	"context"
	"fmt"
	"syscall"
)

// Spec is a postmaster to start.
type Spec struct {
	Path    string
	Args    []string // without the program's name
	Env     []string
	Dir     string
	LogFile string // its standard output and error are appended here; never the agent's pipe, which would die with the agent
	UID     int    // -1: that of the supervisor itself
	GID     int
	Standby bool // it starts read-only
}

// ExitStatus is how a postmaster ended.
type ExitStatus struct {
	PID    int
	Code   int            // exit code; -1 when a signal ended it, or when it is not known because the postmaster was adopted
	Signal syscall.Signal // 0 when it exited by itself
	Fenced bool           // the supervisor killed it since its lease had ended
}

// String is for people.
func (e ExitStatus) String() string {
	switch {
	case e.Fenced:
		return "fenced"
	case e.Signal != 0:
		return fmt.Sprintf("ended by signal %d (%s)", int(e.Signal), e.Signal)
	case e.Code < 0:
		return "ended, exit code unknown"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Supervisor is the parent of the postmaster. It outlives this process, so that PostgreSQL does too.
type Supervisor interface {
	// Start starts the postmaster. It fails while processes of an earlier one are left.
	Start(ctx context.Context, s Spec) (pid int, err error)
	// Signal sends a signal to the postmaster.
	Signal(ctx context.Context, sig syscall.Signal) error
	// Running is the postmaster's process number, 0 when there is none.
	Running(ctx context.Context) (pid int, err error)
	// Wait blocks until the postmaster and every one of its children have gone, and tells how it ended. It returns at once when
	// there is none.
	Wait(ctx context.Context) (ExitStatus, error)
	// Adopt takes charge of a postmaster that somebody else started.
	Adopt(ctx context.Context, pid int) error
}
