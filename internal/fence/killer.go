package fence

import (
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// killer ends every process of one instance. All that it needs is opened beforehand, and fire touches nothing but that.
type killer struct {
	pm       atomic.Int32
	children atomic.Int32 // descriptor of /proc/PM/task/PM/children; -1 when there is none
	orphans  int          // descriptor of our own children's list: as subreaper we inherit what the postmaster leaves
	buf      [1 << 16]byte
}

// newKiller opens the list of this process's own children: those of its first thread, to which the kernel gives orphans.
func newKiller() (*killer, error) {
	pid := unix.Getpid()
	fd, err := openChildren(pid)
	if err != nil {
		return nil, err
	}
	k := &killer{orphans: fd}
	k.children.Store(-1)
	return k, nil
}

func openChildren(pid int) (int, error) {
	p := strconv.Itoa(pid)
	return unix.Open("/proc/"+p+"/task/"+p+"/children", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// watch takes the postmaster into view. Without its list of children it can still be killed, and its orphans after it.
func (k *killer) watch(pid int) error {
	fd, err := openChildren(pid)
	if err != nil {
		fd = -1
	}
	old := k.children.Swap(int32(fd))
	k.pm.Store(int32(pid))
	if old >= 0 {
		_ = unix.Close(int(old))
	}
	return err
}

// fire kills the instance. A process that was being forked while the postmaster stopped is caught by a later pass, or comes
// to us as an orphan, where reap finds it. It may be called again.
func (k *killer) fire() {
	pm := int(k.pm.Load())
	if pm <= 1 {
		return
	}
	_ = unix.Kill(pm, unix.SIGSTOP)
	if fd := int(k.children.Load()); fd >= 0 {
		for range 3 {
			k.killListed(fd)
		}
	}
	_ = unix.Kill(pm, unix.SIGKILL)
	k.killListed(k.orphans)
}

// killListed kills each process in a list of children and says how many there were. The postmaster's dead children stay in
// its list until it reaps them, so that a count above zero does not mean that something lives.
func (k *killer) killListed(fd int) int {
	n, err := unix.Pread(fd, k.buf[:], 0)
	if err != nil {
		return 0
	}
	count, pid := 0, 0
	for _, c := range k.buf[:n] {
		if c >= '0' && c <= '9' {
			pid = pid*10 + int(c-'0')
			continue
		}
		if pid > 1 {
			_ = unix.Kill(pid, unix.SIGKILL)
			count++
		}
		pid = 0
	}
	return count
}
