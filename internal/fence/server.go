package fence

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"quorate/internal/boottime"
)

// signalPromote asks a postmaster that finds promote.signal to open for writes.
const signalPromote = syscall.SIGUSR1

// Server is the fence's state. One lock guards the fields below it; the timer's path takes none.
type Server struct {
	log   *slog.Logger
	kill  *killer
	timer *timer
	spawn chan spawnCall // served by the main thread: the parent-death signal is bound to the thread that forks

	mu       sync.Mutex
	status   Status
	watchdog watchdog
	pmExit   *Exit // the postmaster was reaped; its orphans may still be going
	waiters  map[chan Exit]struct{}
	wake     chan struct{} // there is a child to wait for
	quit     chan struct{}
	quitOnce sync.Once
}

// NewServer makes the state of a fence for one data folder. It makes this process the reaper of the instance's orphans.
func NewServer(dataDir string, log *slog.Logger) (*Server, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("fence: becoming the reaper of orphans: %w", err)
	}
	k, err := newKiller()
	if err != nil {
		return nil, fmt.Errorf("fence: this kernel does not list a process's children (CONFIG_PROC_CHILDREN): %w", err)
	}
	s := &Server{
		log: log, kill: k, spawn: make(chan spawnCall), wake: make(chan struct{}, 1), quit: make(chan struct{}),
		waiters: map[chan Exit]struct{}{}, watchdog: watchdog{state: "off"},
	}
	if s.timer, err = newTimer(k.fire); err != nil {
		return nil, fmt.Errorf("fence: making the timer: %w", err)
	}
	s.status = Status{Version: Version, PID: os.Getpid(), DataDir: dataDir, Locked: lockMemory(log)}
	go s.reapLoop()
	return s, nil
}

// lockMemory keeps the fence's pages in memory, so that a hung disk cannot stop the kill. With a small RLIMIT_MEMLOCK the
// call would make later allocations fail, so that it is only tried where there is no limit.
func lockMemory(log *slog.Logger) bool {
	var lim unix.Rlimit
	unlimited := unix.Geteuid() == 0
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &lim); err == nil && lim.Cur == unix.RLIM_INFINITY {
		unlimited = true
	}
	if !unlimited {
		return false
	}
	const onFault = 4 // MCL_ONFAULT, mlockall(2)
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | onFault); err != nil {
		log.Warn("memory is not locked: a hung disk may delay the fence", "error", err)
		return false
	}
	return true
}

// Status is a copy of what the fence holds.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.statusLocked()
}

func (s *Server) statusLocked() Status {
	st := s.status
	st.Watchdog = s.watchdog.state
	st.Deadline = boottime.Instant(s.timer.deadline.Load())
	st.Armed = st.Deadline != 0
	if s.timer.fired.Load() && st.Fired != st.Term {
		st.Fired = st.Term
	}
	return st
}

// Lease takes a term and the moment at which it ends unless a later one is told. The first of a term activates the watchdog.
func (s *Server) Lease(t Term, d boottime.Instant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.statusLocked()
	switch {
	case t.IsZero() || t == st.Fired || st.Term.After(t):
		return ErrStaleTerm
	case !st.Term.IsZero() && t.Cluster != st.Term.Cluster && (st.Armed || st.Fired == st.Term && st.PM != 0):
		return ErrStaleTerm // a term of another store says nothing about the one that runs
	case t == st.Term && st.Armed && d.Before(st.Deadline):
		return nil // an answer that came late: what is known is better
	case !boottime.Now().Before(d):
		return ErrNoDeadline
	}
	if err := s.watchdog.activate(); err != nil {
		return err
	}
	s.status.Term, s.status.Unfenced = t, false
	if t != st.Term {
		s.timer.fired.Store(false)
	}
	s.watchdog.ping()
	if err := s.timer.set(d); err != nil {
		return err
	}
	if s.timer.fired.Load() {
		return ErrStaleTerm // it fired while we were here
	}
	return nil
}

// Unfence drops the deadline of a primary in maintenance. The caller has committed the record that keeps others from being promoted.
func (s *Server) Unfence(t Term) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != s.status.Term || s.timer.fired.Load() {
		return ErrStaleTerm
	}
	s.watchdog.disarm()
	s.status.Unfenced = true
	return s.timer.set(0)
}

// Kill fences now.
func (s *Server) Kill() {
	s.timer.fired.Store(true)
	s.kill.fire()
}

// writableAllowed says whether something that may take writes may be started. Called with the lock held.
func (s *Server) writableAllowed() error {
	if s.timer.fired.Load() {
		return ErrNoDeadline
	}
	if s.status.Unfenced && !s.status.Term.IsZero() {
		return nil
	}
	if d := boottime.Instant(s.timer.deadline.Load()); d == 0 || !boottime.Now().Before(d) {
		return ErrNoDeadline
	}
	return nil
}

// Start starts the postmaster and returns its process id.
func (s *Server) Start(spec Spec) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.PM != 0 {
		return 0, ErrRunning
	}
	if !spec.Standby {
		if err := s.writableAllowed(); err != nil {
			return 0, err
		}
	}
	call := spawnCall{spec: spec, done: make(chan spawnResult, 1)}
	s.spawn <- call
	r := <-call.done
	if r.err != nil {
		return 0, r.err
	}
	if spec.Standby {
		// A new life begins read-only: the deadline of the last one is no right to promote this one, and neither is a pause in which it ended.
		_ = s.timer.set(0)
		s.status.Unfenced = false
	}
	s.status.PM, s.status.Adopted, s.status.LastExit, s.pmExit = r.pid, false, nil, nil
	if err := s.kill.watch(r.pid); err != nil {
		s.log.Warn("the postmaster's children cannot be listed; orphans are killed after it", "pid", r.pid, "error", err)
	}
	s.log.Info("postmaster started", "pid", r.pid, "standby", spec.Standby)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return r.pid, nil
}

// Adopt takes over a postmaster that somebody else started. It lacks the bond of the parent-death signal.
func (s *Server) Adopt(pid int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.PM == pid {
		return nil
	}
	if s.status.PM != 0 {
		return ErrRunning
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("adopting process %d: %w", pid, err)
	}
	s.status.PM, s.status.Adopted, s.pmExit = pid, true, nil
	if err := s.kill.watch(pid); err != nil {
		s.log.Warn("the adopted postmaster's children cannot be listed", "pid", pid, "error", err)
	}
	s.log.Warn("adopted a running postmaster: until its next restart it does not stop by itself when the fence dies", "pid", pid)
	go s.waitAdopted(fd, pid)
	return nil
}

func (s *Server) waitAdopted(fd, pid int) {
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		if n, err := unix.Poll(p, -1); n > 0 && err == nil {
			break
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pmExit = &Exit{PID: pid, Code: -1}
	s.finish()
}

// Signal sends a signal to the postmaster. The one that promotes needs a deadline ahead.
func (s *Server) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.PM == 0 {
		return errors.New("there is no postmaster")
	}
	if sig == signalPromote {
		if err := s.writableAllowed(); err != nil {
			return err
		}
	}
	return unix.Kill(s.status.PM, sig)
}

// Quit ends the fence when nothing is left for it to guard.
func (s *Server) Quit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.status.PM != 0 {
		return ErrRunning
	}
	s.quitOnce.Do(func() { close(s.quit) })
	return nil
}

// SetWatchdog says which device to use: at once when a primary runs behind a deadline, else from the next term on.
func (s *Server) SetWatchdog(c WatchdogConfig) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watchdog.change(c, s.statusLocked().Armed)
}

// reapLoop collects every child: the postmaster, and the orphans that it leaves. After the postmaster's end nothing of the
// instance may live on, because a backend in a long statement does not notice that its postmaster has gone.
func (s *Server) reapLoop() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			s.noChildren()
			select {
			case <-s.wake:
			case <-s.quit:
				return
			}
		default:
			s.reaped(pid, ws)
		}
	}
}

func (s *Server) reaped(pid int, ws unix.WaitStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pid == s.status.PM {
		e := Exit{PID: pid, Code: ws.ExitStatus(), Fired: s.timer.fired.Load()}
		if ws.Signaled() {
			e.Code, e.Signal = -1, ws.Signal()
		}
		s.pmExit = &e
	}
	if s.pmExit != nil {
		s.kill.killListed(s.kill.orphans)
	}
}

// noChildren is reached when wait4 has nobody left: the instance has gone whole.
func (s *Server) noChildren() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pmExit != nil && !s.status.Adopted {
		s.finish()
	}
}

// finish ends the life of an instance, with the lock held. The deadline of a postmaster that crashed stands, because the same
// term may go on with a restart in place; that of one which was fenced has fired, and its term with it.
func (s *Server) finish() {
	e := *s.pmExit
	e.Fired = s.timer.fired.Load()
	if e.Fired {
		s.status.Fired = s.status.Term
		_ = s.timer.set(0)
	}
	s.watchdog.disarm()
	s.status.PM, s.status.Adopted, s.status.LastExit, s.pmExit = 0, false, &e, nil
	s.kill.pm.Store(0)
	s.log.Info("the instance has gone", "pid", e.PID, "code", e.Code, "signal", int(e.Signal), "fenced", e.Fired)
	for w := range s.waiters {
		w <- e
		delete(s.waiters, w)
	}
}

// subscribe returns a channel that gets the next exit.
func (s *Server) subscribe() chan Exit {
	c := make(chan Exit, 1)
	s.mu.Lock()
	s.waiters[c] = struct{}{}
	s.mu.Unlock()
	return c
}

func (s *Server) unsubscribe(c chan Exit) {
	s.mu.Lock()
	delete(s.waiters, c)
	s.mu.Unlock()
}

// lingering bounds how long Run waits for the last answer to be written.
const lingering = 100 * time.Millisecond
