package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// adopt makes this process the parent of what its children leave behind when they die, so that every process of every host stays a descendant.
func adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of the hosts' processes: %w", err)
	}
	return nil
}

// descendants are the processes that this one started, directly or not, each with the child of this process that it descends from. Each
// thread has a list of the children that it made (proc(5), /proc/pid/task/tid/children).
func descendants() map[int]int {
	found := map[int]int{}
	for _, child := range childrenOf(os.Getpid()) {
		found[child] = child
		for queue := []int{child}; len(queue) > 0; queue = queue[1:] {
			for _, pid := range childrenOf(queue[0]) {
				if _, seen := found[pid]; !seen {
					found[pid] = child
					queue = append(queue, pid)
				}
			}
		}
	}
	return found
}

func childrenOf(pid int) []int {
	var out []int
	tasks := filepath.Join("/proc", strconv.Itoa(pid), "task")
	entries, _ := os.ReadDir(tasks) // a process that has ended meanwhile has none
	for _, e := range entries {
		b, _ := os.ReadFile(filepath.Join(tasks, e.Name(), "children"))
		for _, word := range strings.Fields(string(b)) {
			if child, err := strconv.Atoi(word); err == nil {
				out = append(out, child)
			}
		}
	}
	return out
}

// isZombie says whether a process has ended and only waits for its parent to notice.
func isZombie(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	// pid (name) state ...: the name may hold anything, parentheses too (proc(5)).
	state := b[bytes.LastIndexByte(b, ')')+1:]
	return err == nil && len(state) > 1 && (state[1] == 'Z' || state[1] == 'X')
}

// members are the processes of a host: its agent, the fence, PostgreSQL and what they started. Only descendants of this process count, so that
// nobody who just looks into the folder is taken for one.
func (d *Demo) members(h *host) []int {
	var out []int
	for pid, child := range descendants() {
		if d.hostOfChild(child) == h && !isZombie(pid) {
			out = append(out, pid)
		}
	}
	return out
}

// hostOfChild finds the host of a child of this process. It is the host's agent, or an orphan, which is known by its command line or its working folder.
func (d *Demo) hostOfChild(pid int) *host {
	for _, h := range d.hosts {
		if h.pid() == pid {
			return h
		}
	}
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	cmdline, _ := os.ReadFile(proc + "/cmdline")
	cwd, _ := os.Readlink(proc + "/cwd")
	for _, h := range d.hosts {
		if bytes.Contains(cmdline, []byte(h.dir+"/")) || strings.HasPrefix(cwd+"/", h.dir+"/") {
			return h
		}
	}
	return nil
}

// killPatience bounds the wait for the end of killed processes.
const killPatience = 30 * time.Second

// kill ends all processes of a host at once, and waits until they are gone. One look that finds nobody is not enough: a process whose parent ends between
// the reading of this one's children and of the parent's is in neither list.
func (d *Demo) kill(ctx context.Context, h *host) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	for alone := 0; ; {
		pids := d.members(h)
		if len(pids) > 0 {
			alone = 0
		} else if alone++; alone > 1 {
			d.reap()
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of %s: %w", pid, h.name, err)
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("kill %s: processes %v are still there: %w", h.name, pids, ctx.Err())
		}
	}
}

// reaper takes note of the end of orphans as soon as they end. One that nobody waits for still counts as alive, and PostgreSQL would not start beside its
// own dead postmaster.
func (d *Demo) reaper() (stop func()) {
	ended, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(ended, syscall.SIGCHLD)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-ended:
				d.reap()
			case <-done:
				return
			}
		}
	})
	return func() { signal.Stop(ended); close(done); running.Wait() }
}

// reap takes note of the end of orphans. The agents are left to those who wait for them.
func (d *Demo) reap() {
	agents := map[int]bool{}
	for _, h := range d.hosts {
		agents[h.pid()] = true
	}
	for _, pid := range childrenOf(os.Getpid()) {
		if !agents[pid] && isZombie(pid) {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// dialler names the host whose process holds the client's end of a connection to the relay; "" is none of them. Mostly it is an agent, else a PostgreSQL that
// replicates. One looks at a time: a machine that is too busy to answer has connections come in faster than their owners are found, and to read the table
// for hundreds of them at once took all memory.
func (d *Demo) dialler(client, via netip.AddrPort) string {
	d.looking.Lock()
	defer d.looking.Unlock()
	inode := socketInode(client, via)
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
	for _, h := range d.hosts {
		if holds(h.pid(), want) {
			return h.name
		}
	}
	for pid, child := range descendants() {
		if holds(pid, want) {
			if h := d.hostOfChild(child); h != nil {
				return h.name
			}
		}
	}
	return ""
}

// holds says whether a process has a descriptor of the socket. The table of another user's process may be closed to us.
func holds(pid int, socket string) bool {
	fds := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(fds)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if target, err := os.Readlink(filepath.Join(fds, e.Name())); err == nil && target == socket {
			return true
		}
	}
	return false
}

// socketInode finds a connection in the system's table by its two ends; "" when nobody has it open any more.
func socketInode(local, remote netip.AddrPort) string {
	f, err := os.Open("/proc/net/tcp")
	if err != nil {
		return ""
	}
	defer f.Close()
	ends := []byte(" " + tcpEnd(local) + " " + tcpEnd(remote) + " ")
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if !bytes.Contains(lines.Bytes(), ends) {
			continue
		}
		// sl: local remote state queues timer retransmits uid timeout inode (proc(5)). The inode of a socket that was closed is 0.
		if fields := strings.Fields(lines.Text()); len(fields) > 9 && fields[9] != "0" {
			return fields[9]
		}
	}
	return ""
}

// tcpEnd is an address as /proc/net/tcp shows it: the address as a number of this machine's byte order, in hexadecimal.
func tcpEnd(a netip.AddrPort) string {
	b := a.Addr().Unmap().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(b[:]), a.Port())
}
