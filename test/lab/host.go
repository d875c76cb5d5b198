package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Host is one machine of the lab. Its methods may be called at once, except PowerOff and PowerOn, which change what the others stand on.
type Host struct {
	Name string

	lab   *Lab
	index int
	port  port

	mu      sync.Mutex
	netns   *netns  // nil while the host is without power
	cgroup  *cgroup // nil where the machine has no cgroup v2
	blocked []*Host // whose packets the host drops, once per rule
	loss    int     // percent of the packets, see Lossy
	disks   []*Disk
}

// ErrPowerOff is returned by what needs a running host.
var ErrPowerOff = errors.New("lab: the host has no power")

// boot makes the namespace, the cable and the cgroup.
func (h *Host) boot() error {
	n, err := newNetns(h.lab.run.String() + "-" + h.Name)
	if err != nil {
		return err
	}
	if err := h.port.plug(h.lab.sw, n); err != nil {
		return err
	}
	cg, err := newCgroup(h.lab.run.String() + "-" + h.Name)
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.netns, h.cgroup, h.blocked, h.loss = n, cg, nil, 0
	h.mu.Unlock()
	return h.lab.introduce(h)
}

// IP is the host's address on the lab's network.
func (h *Host) IP() string { return h.port.addr.String() }

// Addr is the host's address with a port.
func (h *Host) Addr(port int) string { return net.JoinHostPort(h.IP(), fmt.Sprint(port)) }

// Dir is the host's own folder: it outlives power loss, and everyone may enter it.
func (h *Host) Dir() string { return filepath.Join(h.lab.dir, h.Name) }

// MkdirFor makes a folder below Dir that belongs to the named user.
func (h *Host) MkdirFor(owner, name string, mode os.FileMode) (string, error) {
	uid, gid, err := lookupUser(owner)
	if err != nil {
		return "", err
	}
	path := filepath.Join(h.Dir(), name)
	if err := os.MkdirAll(path, mode); err != nil {
		return "", err
	}
	return path, errors.Join(os.Chmod(path, mode), os.Chown(path, int(uid), int(gid)))
}

// Dial connects from inside the host; for clients that live in this process.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	n := h.ns()
	if n == nil {
		return nil, ErrPowerOff
	}
	return n.dial(ctx, network, address)
}

// Listen listens inside the host, for servers that live in this process. They do not end with the host's power.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	n := h.ns()
	if n == nil {
		return nil, ErrPowerOff
	}
	err = n.do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// Processes lists what runs on the host, children of children included, whoever started them.
func (h *Host) Processes() ([]Proc, error) {
	n := h.ns()
	if n == nil {
		return nil, nil
	}
	pids, err := pidsIn(n.inode)
	if err != nil {
		return nil, err
	}
	procs := make([]Proc, 0, len(pids))
	for _, pid := range pids {
		if p, err := readProc(pid); err == nil {
			procs = append(procs, p)
		}
	}
	return procs, nil
}

// killTimeout bounds how long the kernel may take to end killed processes; one in a hung disk's call ends only when the disk does.
const killTimeout = 30 * time.Second

// KillAll ends every process of the host at once with SIGKILL and returns when the last has gone. The link stays as it is.
func (h *Host) KillAll() error {
	n := h.ns()
	if n == nil {
		return nil
	}
	if cg := h.group(); cg != nil {
		if err := cg.kill(); err != nil {
			return err
		}
	}
	return killNamespace(n.inode, killTimeout)
}

// Lose cuts the host off and then kills everything on it: what peers see of a host that loses power. The namespace stays, with what
// its kernel still knows; see PowerOff.
func (h *Host) Lose() error { return firstError(h.Cut, h.KillAll) }

// PowerOff loses the host together with its kernel's memory of connections. Folders stay.
func (h *Host) PowerOff() error {
	if err := h.Lose(); err != nil {
		return err
	}
	h.mu.Lock()
	n, cg := h.netns, h.cgroup
	h.netns, h.cgroup, h.blocked, h.loss = nil, nil, nil, 0
	h.mu.Unlock()
	if n == nil {
		return nil
	}
	// The cable goes explicitly: the namespace lives on while a socket of this process holds it.
	return errors.Join(h.lab.sw.ip("link", "delete", h.port.dev), n.remove(), cg.remove())
}

// PowerOn gives a host without power a fresh kernel state under its old address; nothing runs on it yet.
func (h *Host) PowerOn() error {
	if h.ns() != nil {
		return nil
	}
	return h.boot()
}

// Freeze stops every process of the host at one instant, as a paused virtual machine stops (but the kernel goes on acknowledging TCP).
func (h *Host) Freeze() error { return h.freeze(true) }

// Thaw undoes Freeze.
func (h *Host) Thaw() error { return h.freeze(false) }

func (h *Host) freeze(on bool) error {
	cg := h.group()
	if cg == nil {
		return fmt.Errorf("lab: freeze %s: %w", h.Name, errNoCgroup)
	}
	return cg.freeze(on)
}

func (h *Host) ns() *netns {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.netns
}

func (h *Host) group() *cgroup {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cgroup
}

func (h *Host) noteBlock(op string, other *Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if op == "-A" {
		h.blocked = append(h.blocked, other)
		return
	}
	for i, b := range h.blocked {
		if b == other {
			h.blocked = append(h.blocked[:i:i], h.blocked[i+1:]...)
			return
		}
	}
}

func (h *Host) blockedBy() []*Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]*Host(nil), h.blocked...)
}

// killNamespace kills until a look finds nobody: a process may fork between the look and the signal.
func killNamespace(inode uint64, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		pids, err := pidsIn(inode)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := signalIn(inode, pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("lab: kill %d: %w", pid, err)
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: processes %v survive SIGKILL for %s", pids, timeout)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
