package raftstore

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// probePeriod is how often an idle member proves that its log disk writes.
	probePeriod = time.Second
	// stallElections is how many election timeouts a write may hang before a leader stops its heartbeats. An election follows.
	stallElections = 3
	// maxPinned bounds the memory in which the store's files are locked.
	maxPinned = 64 << 20
)

// diskGuard watches the log's disk and keeps the store's files in memory.
//
// bbolt reads through a mapping of the file. If a page must come from a disk that hangs, the thread that touches it stops
// inside the kernel, Go's garbage collector waits for that thread, and with it the whole process: agent, router, all.
// Locked pages are never fetched again.
type diskGuard struct {
	store *Store
	dirs  []string

	mu     sync.Mutex // guards pins
	pins   map[string]*pin
	warned bool
}

// pin is one file's pages, locked through a mapping of our own: pages are shared, so bbolt's mapping profits.
type pin struct {
	mem []byte
	ino uint64
}

func newDiskGuard(s *Store) *diskGuard {
	return &diskGuard{store: s, pins: map[string]*pin{}, dirs: []string{
		filepath.Join(s.opts.Dir, logFile), filepath.Join(s.opts.Dir, cacheDir, "db-*"),
	}}
}

// stalled says whether a write to the log has been hanging for too long.
func (d *diskGuard) stalled() bool {
	return d.store.logs.stalledFor() > stallElections*d.store.opts.ElectionTimeout
}

func (d *diskGuard) run() {
	s := d.store
	d.pinFiles()
	said := false
	for s.sleep(probePeriod) {
		switch {
		case d.stalled():
			if !said {
				s.log.Error("a write to the log hangs; this member does not lead", "for", s.logs.stalledFor())
			}
			said = true
			continue
		case s.logs.stalledFor() == 0 && s.logs.idleFor() >= probePeriod/2:
			go d.probe() // it may hang, and nobody waits for it
		}
		said = false
		d.pinFiles()
	}
}

func (d *diskGuard) probe() {
	if err := d.store.logs.probe(); err != nil && d.store.ctx.Err() == nil {
		d.store.log.Warn("the log disk does not take writes", "error", err)
	}
}

// pinFiles locks the store's files as far as the limits allow; a file that grew or was replaced is locked anew.
func (d *diskGuard) pinFiles() {
	d.mu.Lock()
	defer d.mu.Unlock()
	left := int64(maxPinned)
	seen := map[string]bool{}
	for _, pattern := range d.dirs {
		paths, _ := filepath.Glob(pattern) // the pattern is ours and well-formed
		for _, path := range paths {
			seen[path] = true
			if err := d.pinFile(path, &left); err != nil && !d.warned && !errors.Is(err, os.ErrNotExist) {
				d.warned = true
				d.store.log.Warn("the store's files cannot be locked in memory; a hung disk may freeze this process",
					"file", path, "error", err, "remedy", "raise the limit on locked memory (LimitMEMLOCK)")
			}
		}
	}
	for path, p := range d.pins {
		if !seen[path] {
			p.release()
			delete(d.pins, path)
		}
	}
}

func (d *diskGuard) pinFile(path string, left *int64) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	size := min(st.Size, *left)
	*left -= size
	if old := d.pins[path]; old != nil {
		if old.ino == st.Ino && int64(len(old.mem)) == size {
			return nil
		}
		old.release()
		delete(d.pins, path)
	}
	if size == 0 {
		return nil
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	p := &pin{mem: mem, ino: st.Ino}
	d.pins[path] = p // kept even when locking fails, so that it is not tried every time
	return unix.Mlock(mem)
}

func (p *pin) release() {
	if err := unix.Munmap(p.mem); err != nil {
		panic("raftstore: unmap: " + err.Error()) // our own mapping, released once
	}
}

func (d *diskGuard) unpin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, p := range d.pins {
		p.release()
		delete(d.pins, path)
	}
}
