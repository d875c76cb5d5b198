package lab

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Role picks processes of a host by what they are. The second argument is the parent, zero when it is not on the host.
type Role func(p, parent Proc) bool

// The processes that faults are aimed at.
var (
	// Agent is `quorate run` in all its roles.
	Agent Role = func(p, _ Proc) bool { return subcommand(p, "quorate") == "run" }
	// Fence is `quorate fence`, the parent of the postmaster.
	Fence Role = func(p, _ Proc) bool { return subcommand(p, "quorate") == "fence" }
	// Postmaster is the first process of a PostgreSQL instance, whoever its parent is.
	Postmaster Role = func(p, parent Proc) bool { return p.Comm == "postgres" && parent.Comm != "postgres" && !shortLived(p) }
	// Backend is any other process of a PostgreSQL instance: sessions, WAL sender and receiver, checkpointer and the rest.
	Backend Role = func(p, parent Proc) bool { return p.Comm == "postgres" && parent.Comm == "postgres" }
)

// Program picks processes by the base name of their program or, for scripts, of the script that their interpreter runs.
func Program(name string) Role {
	return func(p, _ Proc) bool {
		return filepath.Base(p.Args[0]) == name || len(p.Args) > 1 && filepath.Base(p.Args[1]) == name
	}
}

// subcommand is the first argument of the program's command line; empty for another program.
func subcommand(p Proc, program string) string {
	if len(p.Args) < 2 || filepath.Base(p.Args[0]) != program {
		return ""
	}
	return p.Args[1]
}

// shortLived says whether a postgres is a tool of its own kind: single-user mode, initdb's, a question for a parameter or the version.
func shortLived(p Proc) bool {
	return slices.ContainsFunc(p.Args[1:], func(arg string) bool {
		return arg == "--single" || arg == "--boot" || arg == "-V" || arg == "--version" || strings.HasPrefix(arg, "-C")
	})
}

// ErrNoProcess is returned when a role is not running on the host.
var ErrNoProcess = errors.New("lab: no such process on the host")

// Find lists the processes of a role.
func (h *Host) Find(role Role) ([]Proc, error) {
	procs, err := h.Processes()
	if err != nil {
		return nil, err
	}
	byPID := make(map[int]Proc, len(procs))
	for _, p := range procs {
		byPID[p.PID] = p
	}
	var found []Proc
	for _, p := range procs {
		if role(p, byPID[p.PPID]) {
			found = append(found, p)
		}
	}
	return found, nil
}

// Signal sends sig to every process of the given roles in one sweep; ErrNoProcess when there is none, so that a fault that hit nobody is noticed.
func (h *Host) Signal(sig unix.Signal, roles ...Role) error {
	n := h.ns()
	if n == nil {
		return ErrPowerOff
	}
	procs, err := h.Find(func(p, parent Proc) bool {
		return slices.ContainsFunc(roles, func(r Role) bool { return r(p, parent) })
	})
	if err != nil {
		return err
	}
	hit := 0
	for _, p := range procs {
		switch err := signalIn(n.inode, p.PID, sig); {
		case err == nil:
			hit++
		case !errors.Is(err, unix.ESRCH):
			return fmt.Errorf("lab: signal %d of %s: %w", p.PID, h.Name, err)
		}
	}
	if hit == 0 {
		return fmt.Errorf("%w: %s", ErrNoProcess, h.Name)
	}
	return nil
}
