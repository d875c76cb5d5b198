package wal

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
	"golang.org/x/sys/unix"
)

// ErrDamaged is wrapped by the errors about a folder that is not what a crash of this log leaves.
var ErrDamaged = errors.New("damaged log")

// errTooLarge is for what no frame can hold.
var errTooLarge = errors.New("too large for the log")

const (
	// SegmentBytes is the size of a segment.
	SegmentBytes = 4 << 20
	// frameBytes bounds the entries in one frame, one entry in any case.
	frameBytes = 1 << 20
	// valuesRoom is the end of a segment that entries leave to values: a term and a vote can be written while a full disk
	// refuses a new segment.
	valuesRoom = 32 << 10
	sealRoom   = 64
	maxPayload = math.MaxInt32
)

// Options are what a log can be opened with; zero values are the defaults.
type Options struct {
	// SegmentBytes is the size of new segments.
	SegmentBytes int64
	// Fault runs before each write and each sync of a file and may fail. It is for tests.
	Fault func(op string) error
}

// Log is an open log. Writes are one after another; reads go beside them.
type Log struct {
	dir   string
	opts  Options
	lock  *os.File
	id    [idLen]byte
	spare spare

	write  sync.Mutex // one write at a time; guards what follows
	seq    uint64     // of the next frame
	active *segment
	next   *segment // made, and not in use yet: a write failed in between
	nextAt int64
	at     int64 // where the next frame of active goes
	buf    []byte

	mu       sync.RWMutex // guards what follows; written under write too
	segments []*segment   // oldest first, the last one active
	first    uint64       // of the first entry; that of the next one when there is none
	entries  []place      // from first on
	values   map[string][]byte
}

// segment is one file.
type segment struct {
	file   *os.File
	path   string
	number uint64
	size   int64
}

// place is where an entry lies. Without a segment it is one that was in a segment older than all that are there.
type place struct {
	segment *segment
	offset  int64
	size    uint32
	sum     uint32 // checksum of the entry's bytes
}

// Exists says whether a folder holds a log.
func Exists(dir string) bool {
	m, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)) // the pattern is well-formed
	return len(m) > 0
}

// Open opens the log in a folder and makes an empty one where none is. One process can have it open.
func Open(dir string, o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = SegmentBytes
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l := &Log{dir: dir, opts: o, values: map[string][]byte{}, first: 1}
	l.spare.log = l
	var err error
	if l.lock, err = lockFolder(dir); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close gives the log up. It waits for a write on its way: another process must not open the log before that has ended.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	l.spare.stop()
	if l.next != nil {
		l.segments = append(l.segments, l.next)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []error
	for _, s := range l.segments {
		list = append(list, s.file.Close())
	}
	l.segments = nil
	return errors.Join(append(list, l.lock.Close())...)
}

// Bounds are the indexes of the first and the last entry, 0 and 0 when there is none.
func (l *Log) Bounds() (first, last uint64) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.entries) == 0 {
		return 0, 0
	}
	return l.first, l.first + uint64(len(l.entries)) - 1
}

// Value returns a value that was set, nil when none was.
func (l *Log) Value(key []byte) []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.values[string(key)]
}

// Values calls f with each value.
func (l *Log) Values(f func(key string, val []byte)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for k, v := range l.values {
		f(k, v)
	}
}

// Sizes calls f with the index of each entry and the size of its data.
func (l *Log) Sizes(f func(index uint64, data int64)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for i, p := range l.entries {
		f(l.first+uint64(i), int64(p.size)-entryHead)
	}
}

func (l *Log) place(index uint64) (place, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if index < l.first || index-l.first >= uint64(len(l.entries)) {
		return place{}, false
	}
	return l.entries[index-l.first], true
}

// Entry reads an entry; raft.ErrLogNotFound when it is not there. Its bytes are compared with their checksum.
func (l *Log) Entry(index uint64, e *raft.Log) error {
	for {
		p, ok := l.place(index)
		if !ok {
			return raft.ErrLogNotFound
		}
		err := p.read(index, e)
		if err == nil {
			return nil
		}
		if now, ok := l.place(index); ok && now == p {
			return fmt.Errorf("%w: entry %d in %s: %w", ErrDamaged, index, p.segment.path, err)
		}
		// It was deleted meanwhile, and its file may have another use.
	}
}

func (p place) read(index uint64, e *raft.Log) error {
	b := make([]byte, p.size)
	if _, err := p.segment.file.ReadAt(b, p.offset); err != nil {
		return err
	}
	if entrySum(b) != p.sum {
		return errFrame
	}
	if _, err := parseEntry(b, e); err != nil {
		return err
	}
	if e.Index != index {
		return errFrame
	}
	return nil
}

// Set writes a value.
func (l *Log) Set(key, val []byte) error {
	l.write.Lock()
	defer l.write.Unlock()
	if len(key)+len(val) > valuesRoom/4 {
		return errTooLarge
	}
	if err := l.put(kindSet, appendPair(l.begin(), key, val), sealRoom); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values[string(key)] = append([]byte(nil), val...)
	return nil
}

// Append writes entries, whose indexes rise by one. Where the first is not the one after the last entry, those from it on
// are replaced; where entries before it are missing, all that were there are gone. After an error a first part of the
// entries may have been written.
func (l *Log) Append(entries []*raft.Log) error {
	l.write.Lock()
	defer l.write.Unlock()
	for len(entries) > 0 {
		n, err := l.appendSome(entries)
		if err != nil {
			return err
		}
		entries = entries[n:]
	}
	return nil
}

// appendSome writes the first entries, as many as a frame takes.
func (l *Log) appendSome(entries []*raft.Log) (n int, err error) {
	b := append(l.begin(), 0, 0, 0, 0)
	var places []place
	for _, e := range entries {
		size := entrySize(e)
		if n > 0 && len(b)+size > frameBytes {
			break
		}
		if size > maxPayload-frameHead-8 {
			return 0, errTooLarge
		}
		if e.Index != entries[0].Index+uint64(n) {
			return 0, fmt.Errorf("entry %d follows entry %d", e.Index, entries[0].Index+uint64(n)-1)
		}
		at := len(b)
		b = appendEntry(b, e)
		places = append(places, place{offset: int64(at), size: uint32(size), sum: entrySum(b[at:])})
		n++
	}
	putCount(b, n)
	if err := l.put(kindEntries, b, l.room()+sealRoom); err != nil {
		return 0, err
	}
	start := l.at - int64(padded(len(b)))
	for i := range places {
		places[i].segment, places[i].offset = l.active, places[i].offset+start
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.append(entries[0].Index, places)
	return n, nil
}

// append notes entries that are written; l.mu is held.
func (l *Log) append(first uint64, places []place) {
	switch n := uint64(len(l.entries)); {
	case first < l.first || first > l.first+n:
		l.first, l.entries = first, nil
	default:
		l.entries = l.entries[:first-l.first]
	}
	l.entries = append(l.entries, places...)
}

// DeleteBefore deletes the entries before one, and with them the segments that nobody needs any more.
func (l *Log) DeleteBefore(first uint64) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.put(kindDeleteBefore, appendIndex(l.begin(), first), sealRoom); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleteBefore(first)
	l.dropSegments()
	return nil
}

// deleteBefore notes it; l.mu is held.
func (l *Log) deleteBefore(first uint64) {
	if first <= l.first {
		return
	}
	if gone := first - l.first; gone < uint64(len(l.entries)) {
		l.entries = append([]place(nil), l.entries[gone:]...) // a copy, so that what is gone takes no memory
	} else {
		l.entries = nil
	}
	l.first = first
}

// DeleteFrom deletes an entry and all after it.
func (l *Log) DeleteFrom(index uint64) error {
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.put(kindDeleteFrom, appendIndex(l.begin(), index), sealRoom); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deleteFrom(index)
	return nil
}

// deleteFrom notes it; l.mu is held.
func (l *Log) deleteFrom(index uint64) {
	switch {
	case index <= l.first:
		l.entries = nil
	case index-l.first < uint64(len(l.entries)):
		l.entries = l.entries[:index-l.first]
	}
}

// dropSegments removes the oldest segments as far as no entry lies in them; both locks are held.
func (l *Log) dropSegments() {
	needed := l.active
	if len(l.entries) > 0 {
		needed = l.entries[0].segment
	}
	for l.segments[0] != needed && l.segments[0] != l.active {
		if !l.spare.take(l.segments[0]) {
			return // another time
		}
		l.segments = append([]*segment(nil), l.segments[1:]...)
	}
}

// room is what entries leave to values at the end of a segment.
func (l *Log) room() int64 { return min(valuesRoom, l.opts.SegmentBytes/8) }

// begin returns the buffer with room for a frame's head.
func (l *Log) begin() []byte {
	const keep = 2 * frameBytes
	if cap(l.buf) > keep {
		l.buf = nil
	}
	return append(l.buf[:0], make([]byte, frameHead)...)
}

// put writes one frame and syncs it; room is what must stay free behind it. l.write is held.
func (l *Log) put(kind uint32, b []byte, room int64) error {
	need := int64(padded(len(b)))
	for l.next != nil || l.at+need+room > l.active.size {
		if err := l.rotate(need + room); err != nil {
			return err
		}
	}
	b = finish(b, l.id, l.active.number, kind, l.seq)
	l.buf = b[:0]
	if err := l.writeSync(l.active, b, l.at); err != nil {
		return err
	}
	l.at += need
	l.seq++
	if l.at > l.active.size/2 {
		l.spare.prepare()
	}
	return nil
}

func (l *Log) writeSync(s *segment, b []byte, at int64) error {
	if err := l.fault("write"); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(b, at); err != nil {
		return err
	}
	return l.sync(s.file)
}

func (l *Log) sync(f *os.File) error {
	if err := l.fault("sync"); err != nil {
		return err
	}
	for {
		if err := unix.Fdatasync(int(f.Fd())); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func (l *Log) fault(op string) error {
	if l.opts.Fault != nil {
		return l.opts.Fault(op)
	}
	return nil
}
