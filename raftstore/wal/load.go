package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
)

// maxEntries bounds what a head may claim to be in segments that are gone.
const maxEntries = 1 << 24

// remedy ends each complaint about a folder.
const remedy = "bring the file back, or empty the store folder so that this member joins anew"

func damaged(path, format string, args ...any) error {
	return fmt.Errorf("%w: %s %s; %s", ErrDamaged, path, fmt.Sprintf(format, args...), remedy)
}

// load reads the folder, or makes the first segment of a new log.
func (l *Log) load() error {
	numbers, err := segmentFiles(l.dir)
	if err != nil {
		return err
	}
	if len(numbers) == 0 {
		l.id, l.seq = newID(), 1
		return l.rotate(0)
	}
	for i, n := range numbers {
		path := filepath.Join(l.dir, segmentName(n))
		if i > 0 && n != numbers[i-1]+1 {
			return damaged(filepath.Join(l.dir, segmentName(numbers[i-1]+1)), "is missing")
		}
		var next *head
		if i+1 < len(numbers) {
			if next, err = readHead(filepath.Join(l.dir, segmentName(numbers[i+1]))); err != nil {
				return err
			}
		}
		if err := l.loadSegment(path, n, i == 0, next); err != nil {
			return err
		}
	}
	if len(l.entries) > 0 && l.entries[0].segment == nil {
		return damaged(filepath.Join(l.dir, segmentName(numbers[0]-1)), "is missing: it held entry %d", l.first)
	}
	// What a killed process wrote may be in the page cache only.
	return errors.Join(l.sync(l.active.file), l.syncDir())
}

// readHead reads only the head of a segment. One that cannot be read is reported when its turn comes.
func readHead(path string) (*head, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	h, f, err := parseHead(b)
	if err != nil {
		return nil, damaged(path, "has no head: %v", err)
	}
	h.seq = f.seq
	return &h, nil
}

// loadSegment reads one segment into the state and makes it the active one.
func (l *Log) loadSegment(path string, number uint64, oldest bool, next *head) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	h, f, err := parseHead(b)
	if err != nil {
		return damaged(path, "has no head: %v", err)
	}
	if err := l.admit(path, number, oldest, h, f.seq, int64(len(b))); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	s := &segment{file: file, path: path, number: number, size: int64(len(b))}
	l.segments = append(l.segments, s)
	l.active, l.seq = s, f.seq+1
	at, sealed, err := l.replay(s, b, f.size, next)
	if err != nil {
		return err
	}
	if sealed && next == nil {
		return damaged(filepath.Join(l.dir, segmentName(number+1)), "is missing")
	}
	l.at = at
	return nil
}

// admit compares a head with what was read before it.
func (l *Log) admit(path string, number uint64, oldest bool, h head, seq uint64, size int64) error {
	if oldest {
		l.id = h.id
	}
	switch {
	case h.segment != number:
		return damaged(path, "is segment %d under another name", h.segment)
	case h.id != l.id:
		return damaged(path, "belongs to another log")
	case size < int64(h.size):
		return damaged(path, "was cut short: it has %d of %d bytes", size, h.size)
	case oldest && h.last-h.first+1 > maxEntries:
		return damaged(path, "claims entries %d to %d", h.first, h.last)
	case oldest:
		l.first, l.entries, l.values = h.first, make([]place, h.last-h.first+1), h.values
	case seq != l.seq:
		return damaged(path, "follows frame %d, and the segment before it ends with frame %d", seq-1, l.seq-1)
	case h.first != l.first || h.last != l.first+uint64(len(l.entries))-1:
		return damaged(path, "follows entries %d to %d, and those before it are %d to %d", h.first, h.last, l.first,
			l.first+uint64(len(l.entries))-1)
	}
	return nil
}

// replay reads the frames behind the head and returns where the next one goes.
func (l *Log) replay(s *segment, b []byte, from int, next *head) (at int64, sealed bool, err error) {
	rest := from
	for {
		f, err := parse(b[from:], l.id, s.number)
		if err != nil {
			rest = from
			break
		}
		rest = from + f.size
		if next != nil && f.seq == next.seq || f.kind == kindSeal {
			// A seal; or a write that failed, after which the log went on in the next segment.
			sealed = f.kind == kindSeal
			break
		}
		if f.seq != l.seq {
			return 0, false, damaged(s.path, "has frame %d where frame %d belongs, at byte %d", f.seq, l.seq, from)
		}
		if err := l.apply(s, f, int64(from)); err != nil {
			return 0, false, damaged(s.path, "has a frame that makes no sense at byte %d: %v", from, err)
		}
		l.seq++
		from = rest
	}
	for i := rest; i < len(b); i += 8 {
		if _, err := parse(b[i:], l.id, s.number); err == nil {
			return 0, false, damaged(s.path, "is damaged at byte %d, before frames that are whole at byte %d", from, i)
		}
	}
	return int64(from), sealed, nil
}

// apply does to the state what a frame says.
func (l *Log) apply(s *segment, f frame, at int64) error {
	r := reader{b: f.payload}
	switch f.kind {
	case kindEntries:
		return l.applyEntries(s, f.payload, at+frameHead)
	case kindDeleteBefore:
		l.deleteBefore(r.u64())
	case kindDeleteFrom:
		l.deleteFrom(r.u64())
	case kindSet:
		k, v := r.pair()
		if r.err == nil {
			l.values[string(k)] = append([]byte(nil), v...)
		}
	default:
		return fmt.Errorf("kind %d is not known to this version", f.kind)
	}
	return r.done()
}

func (l *Log) applyEntries(s *segment, payload []byte, at int64) error {
	r := reader{b: payload}
	var places []place
	var first uint64
	for n := r.u32(); n > 0; n-- {
		var e raft.Log
		size, err := parseEntry(r.b, &e)
		if err != nil {
			return err
		}
		if len(places) == 0 {
			first = e.Index
		}
		if e.Index != first+uint64(len(places)) {
			return fmt.Errorf("entry %d among those from %d on", e.Index, first)
		}
		places = append(places, place{
			segment: s, offset: at + int64(len(payload)-len(r.b)), size: uint32(size), sum: entrySum(r.b[:size]),
		})
		r.take(int64(size))
	}
	if len(places) > 0 {
		l.append(first, places)
	}
	return r.done()
}
