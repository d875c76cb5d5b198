package gameday

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Local strikes the host that this process runs on. It needs root, or the user of the agent and PostgreSQL.
type Local struct {
	Member  string
	DataDir string
}

var _ Host = Local{}

// Name is the member's.
func (l Local) Name() string { return l.Member }

// Crash kills the first child of the postmaster. PostgreSQL takes any killed process for a corruption of its shared memory, and ends all others
// (manual, restart_after_crash).
func (l Local) Crash(context.Context) error {
	b, err := os.ReadFile(filepath.Join(l.DataDir, "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return fmt.Errorf("%s/postmaster.pid: %w", l.DataDir, err)
	}
	b, err = os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	children := strings.Fields(string(b))
	if len(children) == 0 {
		return fmt.Errorf("PostgreSQL's process %d has no child to kill", pid)
	}
	child, err := strconv.Atoi(children[0])
	if err != nil {
		return err
	}
	return syscall.Kill(child, syscall.SIGKILL)
}

// Freeze stops the agent, and lets it go on whatever happens to this process's context.
func (l Local) Freeze(ctx context.Context, d time.Duration) error {
	pid, err := agentOf(l.DataDir)
	if err != nil {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return err
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return errors.Join(syscall.Kill(pid, syscall.SIGCONT), ctx.Err())
}

// agentOf finds the process that has the lock of the agent's state folder open.
func agentOf(dataDir string) (int, error) {
	lock, err := os.Stat(dataDir + ".quorate/lock")
	if err != nil {
		return 0, err
	}
	fds, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return 0, err
	}
	for _, fd := range fds {
		if fi, err := os.Stat(fd); err == nil && os.SameFile(fi, lock) {
			return strconv.Atoi(strings.Split(fd, "/")[2])
		}
	}
	return 0, fmt.Errorf("no process holds %s.quorate/lock: the agent does not run here, or this user may not see it", dataDir)
}
