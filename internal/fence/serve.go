package fence

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketName and LockName lie in the state folder beside the data folder.
const (
	SocketName = "fence.sock"
	LockName   = "fence.lock"
)

// ErrLocked says that another fence holds the data folder.
var ErrLocked = errors.New("another fence process holds the lock on the data folder")

// Run is the whole of `quorate fence`: it takes the lock, listens, and serves until it is told to quit. It must be called on
// the main goroutine, which it binds to the process's first thread. ready is called when the socket listens.
func Run(stateDir, dataDir string, log *slog.Logger, ready func()) error {
	runtime.LockOSThread()
	OutliveSignals()
	debug.SetGCPercent(50)
	lock, err := takeLock(filepath.Join(stateDir, LockName))
	if err != nil {
		return err
	}
	defer lock.Close()
	s, err := NewServer(dataDir, log)
	if err != nil {
		return err
	}
	ln, err := listen(stateDir)
	if err != nil {
		return err
	}
	defer ln.Close()
	go s.accept(ln)
	ready()
	log.Info("fence ready", "data_dir", dataDir, "memory_locked", s.status.Locked)
	for {
		select {
		case c := <-s.spawn:
			pid, err := forkPostmaster(c.spec)
			c.done <- spawnResult{pid, err}
		case <-s.quit:
			time.Sleep(lingering) // the answer to the request that ended us is still being written
			return nil
		}
	}
}

func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrLocked)
	}
	return f, nil
}

// listen binds the socket under a short name, because the kernel allows a path of only 107 bytes.
func listen(stateDir string) (*net.UnixListener, error) {
	path := filepath.Join(stateDir, SocketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) { // ours: we hold the lock
		return nil, err
	}
	short, done, err := shortPath(stateDir)
	if err != nil {
		return nil, err
	}
	defer done()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", path, err)
	}
	ln.SetUnlinkOnClose(false)
	return ln, os.Chmod(path, 0o600)
}

// shortPath names the socket through a descriptor of its folder.
func shortPath(stateDir string) (string, func(), error) {
	d, err := os.Open(stateDir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName), func() { d.Close() }, nil
}

func (s *Server) accept(ln *net.UnixListener) {
	for {
		c, err := ln.AcceptUnix()
		if err != nil {
			select {
			case <-s.quit:
				return
			case <-time.After(lingering): // out of descriptors: try again
				continue
			}
		}
		if err := allowed(c); err != nil {
			s.log.Warn("refused a connection", "error", err)
			c.Close()
			continue
		}
		go s.serve(c)
	}
}

// allowed admits this user and root.
func allowed(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var cred *unix.Ucred
	var cerr error
	if err := raw.Control(func(fd uintptr) { cred, cerr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }); err != nil {
		return err
	}
	if cerr != nil {
		return cerr
	}
	if cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		return fmt.Errorf("user %d is not %d", cred.Uid, os.Geteuid())
	}
	return nil
}

// serve answers one agent. Every exit of the instance is told to it without being asked.
func (s *Server) serve(c *net.UnixConn) {
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out := &lineWriter{w: json.NewEncoder(c)}
	go s.tellExits(ctx, out)
	in := bufio.NewScanner(c)
	in.Buffer(make([]byte, 0, 4096), 1<<20)
	for in.Scan() {
		var r request
		if err := json.Unmarshal(in.Bytes(), &r); err != nil {
			return
		}
		if out.write(s.answer(r)) != nil {
			return
		}
	}
}

func (s *Server) tellExits(ctx context.Context, out *lineWriter) {
	for {
		w := s.subscribe()
		select {
		case e := <-w:
			st := s.Status()
			if out.write(response{Exit: &e, Status: &st}) != nil {
				return
			}
		case <-ctx.Done():
			s.unsubscribe(w)
			return
		}
	}
}

func (s *Server) answer(r request) response {
	err := s.do(r)
	st := s.Status()
	resp := response{ID: r.ID, Status: &st}
	if err != nil {
		resp.Error = err.Error()
		for _, known := range wireErrors {
			if errors.Is(err, known) {
				resp.Error = known.Error()
			}
		}
	}
	return resp
}

func (s *Server) do(r request) error {
	switch r.Op {
	case "status":
		return nil
	case "start":
		if r.Spec == nil {
			return errors.New("start without a spec")
		}
		_, err := s.Start(*r.Spec)
		return err
	case "signal":
		return s.Signal(r.Signal)
	case "lease":
		return s.Lease(r.Term, r.Deadline)
	case "unfence":
		return s.Unfence(r.Term)
	case "kill":
		s.Kill()
		return nil
	case "adopt":
		return s.Adopt(r.PM)
	case "watchdog":
		if r.Watchdog == nil {
			return nil
		}
		return s.SetWatchdog(*r.Watchdog)
	case "quit":
		return s.Quit()
	}
	return fmt.Errorf("this fence (protocol %d) does not know %q", Version, r.Op)
}

// OutliveSignals keeps a terminal's or a service manager's signals from ending the fence before its agent says so. They are
// caught and dropped, not ignored: what is ignored stays ignored in the postmaster and in every command that it starts.
func OutliveSignals() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT)
}

type lineWriter struct {
	mu sync.Mutex
	w  *json.Encoder
}

func (l *lineWriter) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Encode(v)
}
