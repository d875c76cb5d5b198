package demo

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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

// process is one line of the system's table.
type process struct {
	pid, parent int
	zombie      bool
}

// processTable reads /proc. A process that ends meanwhile is left out.
func processTable() map[int]process {
	table := map[int]process{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue
		}
		// pid (name) state parent ...: the name may hold anything, parentheses too (proc(5)).
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(fields[1])
		table[pid] = process{pid: pid, parent: parent, zombie: fields[0] == "Z" || fields[0] == "X"}
	}
	return table
}

// members are the processes of a host: its agent, the fence, PostgreSQL and what they started. Only descendants of this process count, so that
// nobody who just looks into the folder is taken for one.
func (d *Demo) members(h *host) []int {
	table := processTable()
	var out []int
	for pid, p := range table {
		if !p.zombie && d.hostOf(table, pid) == h {
			out = append(out, pid)
		}
	}
	return out
}

// hostOf finds the host that a process belongs to: by the child of this process that it descends from. An orphan, which has become such a child itself,
// is known by its command line or its working folder.
func (d *Demo) hostOf(table map[int]process, pid int) *host {
	self := os.Getpid()
	for pid > 1 && pid != self {
		p, ok := table[pid]
		if !ok {
			return nil
		}
		if p.parent == self {
			return d.hostOfChild(pid)
		}
		pid = p.parent
	}
	return nil
}

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
const killPatience = 10 * time.Second

// kill ends all processes of a host at once, and waits until they are gone.
func (d *Demo) kill(ctx context.Context, h *host) error {
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	for {
		pids := d.members(h)
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d of %s: %w", pid, h.name, err)
			}
		}
		d.reap()
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("kill %s: processes %v are still there: %w", h.name, pids, ctx.Err())
		}
	}
}

// reap takes note of the end of orphans. The agents are left to those who wait for them.
func (d *Demo) reap() {
	agents := map[int]bool{}
	for _, h := range d.hosts {
		agents[h.pid()] = true
	}
	for pid, p := range processTable() {
		if p.zombie && p.parent == os.Getpid() && !agents[pid] {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		}
	}
}

// dialler names the host whose process holds the client's end of a connection to the relay; "" is none of them.
func (d *Demo) dialler(client, via netip.AddrPort) string {
	inode := socketInode(client, via)
	if inode == "" {
		return ""
	}
	want := "socket:[" + inode + "]"
	table := processTable()
	for pid := range table {
		h := d.hostOf(table, pid)
		if h != nil && holds(pid, want) {
			return h.name
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

// socketInode finds a connection in the system's table by its two ends.
func socketInode(local, remote netip.AddrPort) string {
	b, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return ""
	}
	ends := tcpEnd(local) + " " + tcpEnd(remote)
	for line := range strings.Lines(string(b)) {
		// sl: local remote state queues timer retransmits uid timeout inode (proc(5)).
		if fields := strings.Fields(line); len(fields) > 9 && fields[1]+" "+fields[2] == ends {
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
