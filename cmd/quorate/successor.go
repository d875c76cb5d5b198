package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"quorate/internal/config"
	"quorate/internal/node"
)

// The environment of a process that replaces another one: how many listening sockets it finds from descriptor 3 on, and the descriptor that it
// writes to when it serves. systemd's LISTEN_FDS cannot say this: LISTEN_PID would have to be known before the process is.
const (
	envSockets = "QUORATE_INHERITED_SOCKETS"
	envReady   = "QUORATE_INHERITED_READY"
)

const firstInherited = 3 // after the three standard streams (sd_listen_fds(3))

// inherit takes what the process before this one, or systemd, has left open. Nothing of it is passed on to children.
func (a *app) inherit() (sockets *node.Sockets, ready func()) {
	ready = func() {}
	files := activation.Files(true)
	if n, err := strconv.Atoi(os.Getenv(envSockets)); err == nil {
		for i := range n {
			syscall.CloseOnExec(firstInherited + i)
			files = append(files, os.NewFile(uintptr(firstInherited+i), "socket "+strconv.Itoa(i)))
		}
	}
	if fd, err := strconv.Atoi(os.Getenv(envReady)); err == nil && fd >= firstInherited {
		syscall.CloseOnExec(fd)
		told := os.NewFile(uintptr(fd), "ready")
		ready = func() { _, _ = told.Write([]byte{1}); _ = told.Close() }
	}
	for _, name := range []string{envSockets, envReady} {
		_ = os.Unsetenv(name)
		delete(a.env, name)
	}
	return node.NewSockets(files), ready
}

// upgrader starts this program anew with the same command line.
type upgrader struct {
	program string // as it was called: a link is followed again at each start
	config  string
	roles   string
	env     []string                  // this program's variables, which are not in the environment any more
	next    atomic.Pointer[successor] // the last one
}

func newUpgrader(path, roles string, env map[string]string) (*upgrader, error) {
	program, err := exec.LookPath(os.Args[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	u := &upgrader{program: program, config: path, roles: roles}
	for name, value := range env {
		if config.IsVariable(name) {
			u.env = append(u.env, name+"="+value)
		}
	}
	return u, nil
}

// Check implements [node.Upgrader]: the program on disk runs, and accepts the configuration.
func (u *upgrader) Check(ctx context.Context) error {
	c := exec.CommandContext(ctx, u.program, "validate-config", "--ignore-listen-port", u.config)
	c.Args[0] = "quorate"
	c.Env = slices.Concat(os.Environ(), u.env, []string{"QUORATE_ROLES=" + u.roles})
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s validate-config: %w: %s", u.program, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Start implements [node.Upgrader].
func (u *upgrader) Start(doors []*os.File, again bool) (node.Successor, error) {
	told, tell, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer tell.Close()
	c := exec.Command(u.program, os.Args[1:]...)
	if c.Args[0] = os.Args[0]; again {
		c.Path = "/proc/self/exe" // what runs now, also when its file has been replaced
	}
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.ExtraFiles = append(c.ExtraFiles, doors...)
	c.Env = slices.Concat(os.Environ(), u.env, []string{
		envSockets + "=" + strconv.Itoa(len(doors)), envReady + "=" + strconv.Itoa(firstInherited+len(doors)),
	})
	c.ExtraFiles = append(c.ExtraFiles, tell)
	if err := c.Start(); err != nil {
		told.Close()
		return nil, err
	}
	s := &successor{process: c.Process, ready: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer told.Close()
		if n, _ := told.Read(make([]byte, 1)); n == 1 {
			_, _ = daemon.SdNotify(false, fmt.Sprintf("MAINPID=%d\n%s", c.Process.Pid, daemon.SdNotifyReady))
			close(s.ready)
		}
	}()
	go func() {
		s.err = c.Wait()
		close(s.done)
	}()
	u.next.Store(s)
	return s, nil
}

// replaced says whether another process was started in this one's place.
func (u *upgrader) replaced() bool { return u.next.Load() != nil }

// successor is the process that replaced this one.
type successor struct {
	process     *os.Process
	ready, done chan struct{}
	err         error // of its end; valid once done is closed
}

func (s *successor) Ready() <-chan struct{} { return s.ready }
func (s *successor) Done() <-chan struct{}  { return s.done }

// attend stands in for the successor where nothing else would know of it: whoever started this process, and does not understand that another
// one is the main one now, sees one process whose signals are passed on and whose end is the successor's. systemd was told.
func (u *upgrader) attend() (stop func()) {
	if os.Getenv("NOTIFY_SOCKET") != "" {
		return func() {}
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR2)
	go func() {
		for sig := range signals {
			if s := u.next.Load(); s != nil {
				_ = s.process.Signal(sig)
			}
		}
	}()
	return func() { signal.Stop(signals); close(signals) }
}

// outlive waits for the successor's end where this process stands in for it.
func (u *upgrader) outlive(err error) error {
	s := u.next.Load()
	if s == nil || os.Getenv("NOTIFY_SOCKET") != "" {
		return err
	}
	<-s.done
	var end *exec.ExitError
	if errors.As(s.err, &end) && end.ExitCode() > 0 {
		return exitError(end.ExitCode())
	}
	return errors.Join(err, s.err)
}
