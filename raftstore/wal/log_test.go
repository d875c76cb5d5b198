package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// small makes segments of a few frames.
var small = Options{SegmentBytes: 2048}

func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func entry(i, term uint64, size int) *raft.Log {
	return &raft.Log{Index: i, Term: term, Type: raft.LogType(i % 5), Data: bytes.Repeat([]byte{byte(i), byte(term)}, size), AppendedAt: time.Unix(1, int64(i))}
}

// state is a log's contents, comparable.
type state struct {
	first   uint64
	entries []string
	values  map[string]string
}

func (s state) clone() state {
	return state{s.first, slices.Clone(s.entries), maps.Clone(s.values)}
}

func (s state) equal(o state) bool {
	return slices.Equal(s.entries, o.entries) && maps.Equal(s.values, o.values) && (len(s.entries) == 0 || s.first == o.first)
}

func show(e *raft.Log) string {
	return fmt.Sprint(e.Index, e.Term, e.Type, e.Data, e.Extensions, e.AppendedAt.UnixNano())
}

// contents reads all of a log.
func contents(t testing.TB, l *Log) state {
	t.Helper()
	s := state{values: map[string]string{}}
	first, last := l.Bounds()
	s.first = first
	for i := first; i <= last && i > 0; i++ {
		var e raft.Log
		if err := l.Entry(i, &e); err != nil {
			t.Fatalf("entry %d of %d..%d: %v", i, first, last, err)
		}
		s.entries = append(s.entries, show(&e))
	}
	l.Values(func(k string, v []byte) { s.values[k] = string(v) })
	return s
}

// model is what a log must hold.
type model struct {
	state
	rnd  *rand.Rand
	term uint64
}

func (m *model) last() uint64 { return m.first + uint64(len(m.entries)) - 1 }

// step chooses a write, does it to the log, and returns what the log holds if it succeeds.
func (m *model) step(l *Log) (after state, do func() error) {
	s := m.clone()
	switch k := m.rnd.IntN(20); {
	case k == 0 && len(s.entries) > 0:
		n := m.rnd.IntN(len(s.entries) + 1)
		from := s.first + uint64(n)
		s.entries = s.entries[:n]
		return s, func() error { return l.DeleteFrom(from) }
	case k <= 2 && len(s.entries) > 0:
		n := m.rnd.IntN(len(s.entries) + 1)
		s.first, s.entries = s.first+uint64(n), s.entries[n:]
		first := s.first
		return s, func() error { return l.DeleteBefore(first) }
	case k <= 5:
		key, val := fmt.Sprint("key", m.rnd.IntN(3)), fmt.Sprint(m.rnd.Uint64())
		s.values[key] = val
		return s, func() error { return l.Set([]byte(key), []byte(val)) }
	}
	from := m.last() + 1
	switch k := m.rnd.IntN(12); {
	case k == 0 && len(s.entries) > 0: // replaces the newest
		from -= uint64(m.rnd.IntN(len(s.entries)))
		s.entries = s.entries[:from-s.first]
	case k == 1: // leaves a gap
		from += uint64(1 + m.rnd.IntN(5))
		s.first, s.entries = from, nil
	}
	m.term++
	var list []*raft.Log
	for i := range m.rnd.IntN(4) + 1 {
		e := entry(from+uint64(i), m.term, m.rnd.IntN(60))
		list = append(list, e)
		s.entries = append(s.entries, show(e))
	}
	if len(s.entries) == len(list) {
		s.first = from
	}
	return s, func() error { return l.Append(list) }
}

func newModel(seed uint64) *model {
	return &model{state: state{first: 1, values: map[string]string{}}, rnd: rand.New(rand.NewPCG(seed, 1))}
}

// TestAgainstAModel does random writes, of which some fail, and opens the log again in between.
func TestAgainstAModel(t *testing.T) {
	for seed := range uint64(15) {
		dir := t.TempDir()
		m := newModel(seed)
		failing := false
		o := small
		o.Fault = func(op string) error { // "spare" comes from another goroutine
			if op != "spare" && failing && m.rnd.IntN(3) == 0 {
				return errors.New("input/output error")
			}
			return nil
		}
		l := open(t, dir, o)
		var maybe []state // what writes that failed since the last that did not would have made
		for range 150 {
			failing = m.rnd.IntN(4) == 0
			after, do := m.step(l)
			err := do()
			if maybe = append(maybe, after); err == nil {
				m.state, maybe = after, nil
			}
			failing = false
			if got := contents(t, l); !got.equal(m.state) {
				t.Fatalf("seed %d: after %v the log holds\n%v, want\n%v", seed, err, got, m.state)
			}
			if m.rnd.IntN(10) > 0 {
				continue
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, dir, o)
			got := contents(t, l)
			if !got.equal(m.state) && !slices.ContainsFunc(maybe, got.equal) {
				t.Fatalf("seed %d: opened again after %v it holds\n%v, want\n%v", seed, err, got, m.state)
			}
			m.state, maybe = got, nil
			if len(got.entries) == 0 {
				m.first = l.first
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// files reads a folder's segments.
func files(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		if strings.HasSuffix(f.Name(), suffix) {
			b, err := os.ReadFile(filepath.Join(dir, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			out[f.Name()] = b
		}
	}
	return out
}

func restore(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// moment is the disk before and after a write.
type moment struct {
	files  map[string][]byte
	before state
	after  state
}

// history records what the disk looks like around every write.
func history(t *testing.T, seed uint64, writes int) []moment {
	t.Helper()
	m, dir := newModel(seed), t.TempDir()
	var list []moment
	var now moment
	o := small
	o.Fault = func(op string) error {
		if op == "sync" { // a crash here: anything may have become of what this write wrote
			now.files = files(t, dir)
			list = append(list, now)
		}
		return nil
	}
	l := open(t, dir, o)
	defer l.Close()
	list = nil
	for range writes {
		after, do := m.step(l)
		now = moment{before: m.clone(), after: after}
		if err := do(); err != nil {
			t.Fatal(err)
		}
		m.state = after
	}
	return list
}

// TestCrashAtEveryWrite opens what a crash at each sync leaves, with every part of the unsynced write lost.
func TestCrashAtEveryWrite(t *testing.T) {
	for seed := range uint64(2) {
		previous := map[string][]byte{}
		for i, m := range history(t, 100+seed, 40) {
			for range 4 {
				dir := restore(t, torn(m.files, previous, rand.New(rand.NewPCG(seed, uint64(i)))))
				l, err := Open(dir, small)
				if err != nil {
					t.Fatalf("seed %d, write %d: %v", seed, i, err)
				}
				got := contents(t, l)
				if !got.equal(m.before) && !got.equal(m.after) {
					t.Fatalf("seed %d, write %d: the log holds\n%v, want\n%v or\n%v", seed, i, got, m.before, m.after)
				}
				// It goes on, and what it does then stays.
				_, last := l.Bounds()
				e := entry(last+1, 1000, 3)
				if err := errors.Join(l.Append([]*raft.Log{e}), l.Close()); err != nil {
					t.Fatal(err)
				}
				l = open(t, dir, small)
				if again := contents(t, l); len(again.entries) == 0 || again.entries[len(again.entries)-1] != show(e) {
					t.Fatalf("seed %d, write %d: what was written after the crash is gone", seed, i)
				}
				l.Close()
			}
			previous = m.files
		}
	}
}

// torn gives each sector that differs between two moments its old or its new contents. What was written before the sync
// before this one is on the disk, and a file is there with its name only after its own sync.
func torn(now, before map[string][]byte, rnd *rand.Rand) map[string][]byte {
	out := map[string][]byte{}
	for name, b := range now {
		b = slices.Clone(b)
		old, ok := before[name]
		for at := 0; ok && at < len(b); at += 512 {
			end := min(at+512, len(b))
			if rnd.IntN(2) == 0 && len(old) == len(b) {
				copy(b[at:end], old[at:end])
			}
		}
		out[name] = b
	}
	return out
}

// filled is a log of several segments with its files.
func filled(t testing.TB) (map[string][]byte, state) {
	t.Helper()
	dir := t.TempDir()
	l := open(t, dir, small)
	for i := range uint64(40) {
		if err := l.Append([]*raft.Log{entry(i+1, 1, 50)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Set([]byte("term"), []byte("7")); err != nil {
		t.Fatal(err)
	}
	s := contents(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f := files(t, dir)
	if len(f) < 3 {
		t.Fatalf("%d segments", len(f))
	}
	return f, s
}

// refused opens a folder that is damaged. Nothing is wrong with opening it as long as nothing is missing: a seal stands for what the next segment shows.
func refused(t *testing.T, f map[string][]byte, want state, what, name string) {
	t.Helper()
	dir := restore(t, f)
	l, err := Open(dir, small)
	if err == nil {
		if got := contents(t, l); !strings.Contains(what, "changed") || !got.equal(want) {
			t.Errorf("%s: opened", what)
		}
		l.Close()
		return
	}
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "bring the file back") {
		t.Errorf("%s: %v; want it to name %s", what, err, name)
	}
	if !maps.EqualFunc(files(t, dir), f, bytes.Equal) {
		t.Errorf("%s: the folder was changed", what)
	}
}

func TestDamageIsRefusedByNameAndKept(t *testing.T) {
	whole, want := filled(t)
	names := slices.Sorted(maps.Keys(whole))
	lastEnd := bytes.LastIndexFunc(whole[names[len(names)-1]], func(r rune) bool { return r != 0 })
	for k, name := range names {
		newest := k == len(names)-1
		lost := maps.Clone(whole)
		delete(lost, name)
		if k > 0 || !newest {
			refused(t, lost, want, "without "+name, name)
		}
		short := maps.Clone(whole)
		short[name] = whole[name][:len(whole[name])-8]
		refused(t, short, want, name+" cut short", name)
		for at := 0; at < len(whole[name]); at += 41 {
			if newest && at > lastEnd-200 || whole[name][at] == 0 && (at+1 >= len(whole[name]) || whole[name][at+1] == 0) {
				continue // the last frame's damage looks like a crash; and zeros may be padding
			}
			b := slices.Clone(whole[name])
			b[at] ^= 0xff
			flipped := maps.Clone(whole)
			flipped[name] = b
			refused(t, flipped, want, fmt.Sprintf("%s with byte %d changed", name, at), name)
		}
	}
	foreign, _ := filled(t)
	mixed := maps.Clone(whole)
	mixed[names[1]] = foreign[names[1]]
	refused(t, mixed, want, "another log's segment", names[1])
	renamed := maps.Clone(whole)
	renamed[names[1]] = whole[names[0]]
	refused(t, renamed, want, "a segment under another's name", names[1])
	odd := maps.Clone(whole)
	odd["x.wal"] = []byte("notes")
	dir := restore(t, odd)
	if _, err := Open(dir, small); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "x.wal") {
		t.Errorf("a file of another kind: %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, small)
	began := time.Now()
	if _, err := Open(dir, small); err == nil || time.Since(began) < lockPatience {
		t.Errorf("opened twice: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, small).Close()
}

// TestSegmentsGo looks at the folder while a log moves on.
func TestSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, small)
	defer l.Close()
	for i := range uint64(400) {
		if err := l.Append([]*raft.Log{entry(i+1, 1, 50)}); err != nil {
			t.Fatal(err)
		}
		if i > 10 {
			if err := l.DeleteBefore(i - 8); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := len(files(t, dir)); n > 4 {
		t.Errorf("%d segments are left of ten entries", n)
	}
}

func TestLargeEntries(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir, Options{SegmentBytes: 64 << 10})
	list := []*raft.Log{entry(1, 1, 10), entry(2, 1, 40<<10), entry(3, 1, 900<<10), entry(4, 1, 300<<10), entry(5, 1, 1)}
	if err := l.Append(list); err != nil {
		t.Fatal(err)
	}
	want := contents(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, Options{SegmentBytes: 64 << 10})
	defer l.Close()
	if got := contents(t, l); !got.equal(want) || len(got.entries) != 5 {
		t.Error("large entries are not read back")
	}
}

// TestValuesOnAFullDisk writes terms and votes while there is no room for another segment.
func TestValuesOnAFullDisk(t *testing.T) {
	var full atomic.Bool
	l := open(t, t.TempDir(), Options{SegmentBytes: 64 << 10, Fault: func(op string) error {
		if full.Load() && (op == "fill" || op == "spare") {
			return errors.New("no space left on device")
		}
		return nil
	}})
	defer l.Close()
	full.Store(true)
	var err error
	for i := uint64(1); err == nil; i++ {
		err = l.Append([]*raft.Log{entry(i, 1, 500)})
		if i > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	for i := range 100 {
		if err := l.Set([]byte("term"), fmt.Append(nil, i)); err != nil {
			t.Fatalf("value %d: %v", i, err)
		}
	}
	full.Store(false)
	_, last := l.Bounds()
	if err := l.Append([]*raft.Log{entry(last+1, 1, 500)}); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestReadsBesideWrites(t *testing.T) {
	l := open(t, t.TempDir(), small)
	defer l.Close()
	var wg sync.WaitGroup
	done := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				first, last := l.Bounds()
				for i := first; i <= last && i > 0; i++ {
					var e raft.Log
					if err := l.Entry(i, &e); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for i := range uint64(1000) {
		if err := l.Append([]*raft.Log{entry(i+1, 1, 50)}); err != nil {
			t.Fatal(err)
		}
		if i > 10 && i%7 == 0 {
			if err := l.DeleteBefore(i - 8); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(done)
	wg.Wait()
}

// FuzzOpen has any bytes as the payloads of whole frames: checksums keep nothing out that was written so.
func FuzzOpen(f *testing.F) {
	f.Add(kindEntries, appendEntry([]byte{1, 0, 0, 0}, entry(1, 1, 4)), []byte{})
	f.Add(kindSet, appendPair(nil, []byte("k"), []byte("v")), []byte{1})
	f.Add(kindDeleteBefore, appendIndex(nil, 3), []byte{1, 2})
	f.Add(kindHead, appendHead(nil, head{segment: 1, size: 2048, first: 1}), []byte{})
	f.Fuzz(func(t *testing.T, kind uint32, payload, tail []byte) {
		if len(payload) > 1500 {
			return
		}
		var id [idLen]byte
		h := head{id: id, segment: 1, size: 2048, first: 1, values: map[string][]byte{}}
		b := finish(appendHead(make([]byte, frameHead), h), id, 1, kindHead, 1)
		if kind == kindHead { // as the segment's own head, too
			if _, f, err := parseHead(finish(append(make([]byte, frameHead), payload...), [idLen]byte(append(payload, make([]byte, 64)...)[4:20]),
				binary.LittleEndian.Uint64(append(payload, make([]byte, 64)...)[20:]), kindHead, 1)); err == nil && f.seq != 1 {
				t.Error("read another frame")
			}
		}
		b = append(b, finish(append(make([]byte, frameHead), payload...), id, 1, kind, 2)...)
		b = append(b, tail...)
		if len(b) < 2048 {
			b = append(b, make([]byte, 2048-len(b))...)
		}
		dir := restore(t, map[string][]byte{segmentName(1): b})
		l, err := Open(dir, small)
		if err != nil {
			return
		}
		contents(t, l)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
