package wal

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	suffix    = ".wal"
	spareName = "spare"
	nextName  = "next"
	lockName  = "lock"
	// lockPatience is how long opening waits for another process that is just ending.
	lockPatience = 5 * time.Second
)

func segmentName(n uint64) string { return fmt.Sprintf("%016x%s", n, suffix) }

func entrySum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func putCount(b []byte, n int) { binary.LittleEndian.PutUint32(b[frameHead:], uint32(n)) }

func appendIndex(b []byte, i uint64) []byte { return binary.LittleEndian.AppendUint64(b, i) }

func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) || time.Since(began) > lockPatience {
			return nil, errors.Join(fmt.Errorf("lock %s: %w (is another process running in this folder?)", f.Name(), err), f.Close())
		}
	}
}

// rotate goes on in a new segment, with need bytes beside its head. The new one is complete, under its name, before it takes
// a frame; then the old one says that it has a successor. l.write is held.
func (l *Log) rotate(need int64) error {
	if l.next == nil {
		if err := l.newSegment(need); err != nil {
			return err
		}
	}
	if err := l.syncDir(); err != nil {
		return err
	}
	old, at := l.active, l.at
	l.mu.Lock()
	l.segments = append(l.segments, l.next)
	l.mu.Unlock()
	l.active, l.at, l.next = l.next, l.nextAt, nil
	l.seq++
	if old == nil {
		return nil
	}
	// The seal has the number of the successor's head: it stands for it, and for no frame of its own.
	seal := finish(appendIndex(make([]byte, frameHead), l.active.number), l.id, old.number, kindSeal, l.seq-1)
	return l.writeSync(old, seal, at)
}

// newSegment makes the file that follows the active one, with its head.
func (l *Log) newSegment(need int64) error {
	h := head{id: l.id, segment: 1, values: l.values}
	if l.active != nil {
		h.segment = l.active.number + 1
	}
	l.mu.RLock()
	h.first, h.last = l.first, l.first+uint64(len(l.entries))-1
	l.mu.RUnlock()
	size := max(l.opts.SegmentBytes, int64(len(appendHead(nil, h))+frameHead+8)+need)
	f, size, err := l.spare.give(size)
	if err != nil {
		return err
	}
	h.size = uint64(size)
	b := finish(appendHead(make([]byte, frameHead), h), l.id, h.segment, kindHead, l.seq)
	s := &segment{file: f, number: h.segment, size: size, path: filepath.Join(l.dir, segmentName(h.segment))}
	err = l.writeSync(s, b, 0)
	if err == nil {
		err = os.Rename(f.Name(), s.path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	l.next, l.nextAt = s, int64(len(b))
	return nil
}

func (l *Log) syncDir() error {
	if err := l.fault("sync"); err != nil {
		return err
	}
	return syncDir(l.dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// spare keeps one file ready for the next segment: filling it takes the disk's time, which no write should wait for.
type spare struct {
	log  *Log
	mu   sync.Mutex // guards what follows, and the file
	busy bool
	over bool
	wg   sync.WaitGroup
}

func (s *spare) path() string { return filepath.Join(s.log.dir, spareName) }

// prepare makes the spare file in the background when there is none. A failure is left to whoever needs the file.
func (s *spare) prepare() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy || s.over {
		return
	}
	if _, err := os.Lstat(s.path()); err == nil {
		return
	}
	s.busy = true
	s.wg.Go(func() {
		temp := s.path() + ".tmp"
		err := s.log.fault("spare")
		if err == nil {
			err = fill(temp, s.log.opts.SegmentBytes)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy = false
		if err == nil {
			err = os.Rename(temp, s.path())
		}
		if err != nil {
			os.Remove(temp)
		}
	})
}

// give returns a file of at least size bytes. Its name is neither a segment's nor the spare's, which a new spare may take at any time.
func (s *spare) give(size int64) (*os.File, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	path := filepath.Join(s.log.dir, nextName)
	if st, err := os.Lstat(s.path()); err == nil && st.Mode().IsRegular() && st.Size() >= size {
		size = st.Size()
		if err := os.Rename(s.path(), path); err != nil {
			return nil, 0, err
		}
	} else {
		if err := s.log.fault("fill"); err != nil {
			return nil, 0, err
		}
		if err := fill(path, size); err != nil {
			return nil, 0, errors.Join(err, os.Remove(path))
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	return f, size, err
}

// take makes the spare file of a segment that is needed no more, or removes it; false when neither went.
func (s *spare) take(old *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := old.path
	_, err := os.Lstat(s.path())
	if errors.Is(err, fs.ErrNotExist) && old.size == s.log.opts.SegmentBytes {
		err = os.Rename(name, s.path())
	} else {
		err = os.Remove(name)
	}
	if err != nil {
		return false
	}
	old.file.Close() // nothing is written to it any more
	return true
}

func (s *spare) stop() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	s.wg.Wait()
}

// fill makes a file of zeros, on the disk: writing over them later changes no metadata.
func fill(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	zeros := make([]byte, 64<<10)
	for left := size; left > 0 && err == nil; left -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(left, int64(len(zeros)))])
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func newID() (id [idLen]byte) {
	rand.Read(id[:]) // never fails
	return id
}

// segmentFiles lists the segments of a folder by number.
func segmentFiles(dir string) ([]uint64, error) {
	list, err := os.ReadDir(dir) // sorted by name, and so by number
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range list {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(name, 16, 64)
		if err != nil || len(name) != 16 || n == 0 || segmentName(n) != e.Name() {
			return nil, fmt.Errorf("%w: %s is no segment of a log", ErrDamaged, filepath.Join(dir, e.Name()))
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
