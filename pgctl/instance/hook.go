package instance

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"syscall"

	"quorate/pgctl/postgres"
)

// Hook is a command of the user's that is run at a moment of PostgreSQL's life. Its interface is Patroni's: words as in a shell, then the
// arguments that belong to the moment, no shell in between.
type Hook struct {
	Name    string // the setting that it comes from, for log and errors
	Command string
	Args    []string
	// Password asks for PGPASSFILE in its environment: the hook is to connect to PostgreSQL.
	Password bool
	// Env is added to the agent's environment.
	Env []string
}

// ErrHook says that a command of the user's could not be run, ended with an error, or did not end in time.
var ErrHook = errors.New("the command failed")

// RunHook runs a hook as the user of PostgreSQL, in the agent's working directory, and logs what it says. When the context ends the hook is
// killed with all processes of its group; what it has put into another session is its own affair. A child that it leaves behind is
// not waited for.
func (i *Instance) RunHook(ctx context.Context, h Hook) error {
	words, err := postgres.SplitCommand(h.Command)
	if err != nil || len(words) == 0 {
		return fmt.Errorf("%s: %w: %q: %w", h.Name, ErrHook, h.Command, orError(err, postgres.ErrBadCommand))
	}
	cmd := exec.CommandContext(ctx, words[0], append(words[1:], h.Args...)...)
	cmd.Env = append(inherited(), h.Env...)
	if h.Password {
		pass, err := i.PassFile()
		if err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		cmd.Env = append(cmd.Env, "PGPASSFILE="+pass)
	}
	// No parent-death signal: what the last hook of an agent that ends has begun shall come to its end.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: i.credential()}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = killAfter
	tail := &tailBuffer{}
	said := i.logLine(h.Name)
	both := &lineWriter{each: func(l string) { tail.add(l); said(l) }}
	cmd.Stdout, cmd.Stderr = both, both
	err = runOrdinary(cmd)
	both.flush()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w: %s: %w", h.Name, ErrHook, filepath.Base(words[0]), context.Cause(ctx))
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
		return nil
	}
	return fmt.Errorf("%s: %w: %w", h.Name, ErrHook, &toolError{tool: filepath.Base(words[0]), err: err, tail: tail.lines})
}
