package demo

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// condition is what the demo has done to a host.
type condition string

// The conditions.
const (
	up     condition = "up"
	killed condition = "killed"
	frozen condition = "frozen"
	cutOff condition = "cut off"
	ended  condition = "ended" // by itself
)

// host is one of the three.
type host struct {
	name      string
	dir       string
	addr, via netip.Addr

	mu    sync.Mutex // guards what follows
	state condition
	agent *exec.Cmd
	gone  chan struct{} // closed when the agent has ended
}

func (h *host) condition() condition {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state
}

func (h *host) set(c condition) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = c
}

// healthy says whether nothing was done to the host.
func (h *host) healthy() bool { return h.condition() == up }

// pid is the agent's; 0 before the first start.
func (h *host) pid() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agent == nil {
		return 0
	}
	return h.agent.Process.Pid
}

// spawner starts processes from one thread that lives as long as the demo: the signal that ends them with the demo is sent when the thread that started
// them ends (prctl(2), PR_SET_PDEATHSIG).
type spawner struct{ jobs chan func() }

func newSpawner() *spawner {
	s := &spawner{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		for job := range s.jobs {
			job()
		}
	}()
	return s
}

func (s *spawner) start(cmd *exec.Cmd) error {
	errs := make(chan error)
	s.jobs <- func() { errs <- cmd.Start() }
	return <-errs
}

// start runs the host: its own process group, so that a Ctrl-C in the terminal is the demo's alone.
func (h *host) start(s *spawner, exe string) error {
	log, err := os.OpenFile(h.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(exe, "run", h.config())
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.Env = log, log, h.dir, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.start(cmd); err != nil {
		return fmt.Errorf("start %s: %w", h.name, err)
	}
	gone := make(chan struct{})
	h.mu.Lock()
	h.agent, h.gone, h.state = cmd, gone, up
	h.mu.Unlock()
	go func() {
		_ = cmd.Wait() // how it ended stands in its log
		h.mu.Lock()
		if h.agent == cmd && h.state == up {
			h.state = ended
		}
		h.mu.Unlock()
		close(gone)
	}()
	return nil
}

// environment leaves out the variables by which this machine's own clusters are configured.
func environment() []string {
	var out []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "PATRONI_") && !strings.HasPrefix(v, "QUORATE_") && !strings.HasPrefix(v, "PG") {
			out = append(out, v)
		}
	}
	return out
}

// signal sends a signal to the host's agent.
func (h *host) signal(sig syscall.Signal) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.agent == nil {
		return nil
	}
	if err := h.agent.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %s to %s: %w", sig, h.name, err)
	}
	return nil
}

// releaseMemory removes the System V segment that a killed PostgreSQL leaves in the kernel: no folder holds it, and it would stay until the machine's next
// boot. Its id is the last word of the seventh line of postmaster.pid (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_SHMEM_KEY).
func (h *host) releaseMemory() error {
	b, err := os.ReadFile(filepath.Join(h.dir, "data", "postmaster.pid"))
	if err != nil {
		return nil // it has ended tidily, or never run
	}
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return nil
	}
	words := strings.Fields(lines[6])
	if len(words) != 2 {
		return nil
	}
	id, err := strconv.Atoi(words[1])
	if err != nil {
		return nil
	}
	if _, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.EIDRM) {
		return fmt.Errorf("remove the shared memory of %s: %w", h.name, err)
	}
	return nil
}
