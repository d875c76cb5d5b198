// Package directrun is the plain Supervisor: the postmaster is a child of this very process. It has no fence and no deadline, so that
// it serves tools and tests, and hosts where PostgreSQL may end with the agent.
package directrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quorate/pgctl/instance"
)

// ErrRunning says that processes of an earlier postmaster are left.
var ErrRunning = errors.New("processes of the former postmaster have not gone yet")

// Supervisor runs the postmaster of one data folder.
type Supervisor struct {
	dataDir string

	mu   sync.Mutex // guards the rest
	pid  int
	gone chan struct{} // closed when all processes of the postmaster have gone
	exit instance.ExitStatus
}

// New makes the supervisor of the data folder.
func New(dataDir string) *Supervisor { return &Supervisor{dataDir: dataDir} }

// Start starts the postmaster.
func (s *Supervisor) Start(_ context.Context, spec instance.Spec) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid != 0 {
		return 0, fmt.Errorf("%w: process %d", ErrRunning, s.pid)
	}
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Env, spec.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if spec.UID >= 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(spec.UID), Gid: uint32(spec.GID)}
		if err := log.Chown(spec.UID, spec.GID); err != nil {
			return 0, err
		}
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	s.pid, s.gone = cmd.Process.Pid, make(chan struct{})
	go s.reap(cmd, s.gone)
	return s.pid, nil
}

func (s *Supervisor) reap(cmd *exec.Cmd, gone chan struct{}) {
	_ = cmd.Wait() // how it ended is in ProcessState
	st := instance.ExitStatus{PID: cmd.Process.Pid, Code: cmd.ProcessState.ExitCode()}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		st.Signal = ws.Signal()
	}
	s.finish(st, gone)
}

// orphanPoll is how often it is looked whether the children of a dead postmaster have gone.
const orphanPoll = 5 * time.Millisecond

func (s *Supervisor) finish(st instance.ExitStatus, gone chan struct{}) {
	for len(s.processes()) > 0 {
		time.Sleep(orphanPoll)
	}
	s.mu.Lock()
	s.pid, s.exit = 0, st
	s.mu.Unlock()
	close(gone)
}

// processes are those that work in the data folder, as all of a server's do.
func (s *Supervisor) processes() []int {
	dir, err := filepath.EvalSymlinks(s.dataDir)
	if err != nil {
		return nil
	}
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	var out []int
	for _, l := range links {
		if cwd, err := os.Readlink(l); err == nil && cwd == dir {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(l)))
			out = append(out, pid)
		}
	}
	return out
}

// Adopt takes charge of a postmaster that is not a child.
func (s *Supervisor) Adopt(_ context.Context, pid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid != 0 {
		return fmt.Errorf("%w: process %d", ErrRunning, s.pid)
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("adopting process %d: %w", pid, err)
	}
	s.pid, s.gone = pid, make(chan struct{})
	go s.waitAdopted(fd, pid, s.gone)
	return nil
}

func (s *Supervisor) waitAdopted(fd, pid int, gone chan struct{}) {
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	s.finish(instance.ExitStatus{PID: pid, Code: -1}, gone)
}

// Signal sends a signal to the postmaster.
func (s *Supervisor) Signal(_ context.Context, sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pid == 0 {
		return syscall.ESRCH
	}
	return syscall.Kill(s.pid, sig)
}

// Running is the postmaster's process number, 0 when there is none. One whose children are still there counts.
func (s *Supervisor) Running(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid, nil
}

// Wait blocks until the postmaster and all of its children have gone.
func (s *Supervisor) Wait(ctx context.Context) (instance.ExitStatus, error) {
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone == nil {
		return instance.ExitStatus{}, nil
	}
	select {
	case <-gone:
	case <-ctx.Done():
		return instance.ExitStatus{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exit, nil
}
