package proxy

import (
	"bytes"
	"testing"
)

func TestFramerFindsBoundariesInAnySplit(t *testing.T) {
	key := []byte("pid.secret of protocol 3.2")
	stream := bytes.Join([][]byte{
		message('R', make([]byte, 4)), message('S', []byte("a\x00b\x00")), message('K', key), message('Z', []byte{'I'}),
		message('D', bytes.Repeat([]byte{'x'}, 3000)), message('K', []byte("not a key any more")), message('1', nil),
	}, nil)
	ends := map[int]bool{0: true}
	for at := 0; at < len(stream); {
		at += 5 + int(stream[at+3])<<8 + int(stream[at+4]) - 4
		ends[at] = true
	}
	for size := 1; size <= len(stream); size++ {
		var f framer
		for at := 0; at < len(stream); at += size {
			end := min(at+size, len(stream))
			f.feed(stream[at:end])
			if f.between() != ends[end] {
				t.Fatalf("in pieces of %d, after %d bytes: between=%v", size, end, f.between())
			}
		}
		if got, ok := f.cancelKey(); !ok || got != string(key) {
			t.Fatalf("in pieces of %d: key %q, %v", size, got, ok)
		}
	}
}

func TestFramerKeyIsCompleteOrUnknown(t *testing.T) {
	stream := message('K', []byte("pid.secr"))
	var f framer
	for i := range stream {
		if _, ok := f.cancelKey(); ok {
			t.Fatalf("a key after %d of %d bytes", i, len(stream))
		}
		f.feed(stream[i : i+1])
	}
	if key, ok := f.cancelKey(); !ok || key != "pid.secr" {
		t.Fatalf("key %q, %v", key, ok)
	}
}

func TestFramerGivesUpOnWhatIsNoMessage(t *testing.T) {
	for name, p := range map[string][]byte{"short length": {'D', 0, 0, 0, 3}, "huge length": {'D', 0x7f, 0, 0, 0}} {
		var f framer
		f.feed(p)
		if f.between() || !f.lost {
			t.Errorf("%s: still followed", name)
		}
	}
}

// FuzzFramer checks that the split of a stream does not matter, and that a key stays bounded.
func FuzzFramer(f *testing.F) {
	f.Add(append(message('K', make([]byte, 8)), message('Z', []byte{'I'})...), uint8(3))
	f.Fuzz(func(t *testing.T, p []byte, size uint8) {
		var whole, parts framer
		whole.feed(p)
		for q := p; len(q) > 0; {
			n := min(int(size)+1, len(q))
			parts.feed(q[:n])
			q = q[n:]
		}
		if whole.between() != parts.between() || whole.lost != parts.lost || !bytes.Equal(whole.key, parts.key) {
			t.Fatalf("whole %+v, in parts %+v", whole, parts)
		}
		if len(whole.key) > 4+maxCancelKey {
			t.Fatalf("a key of %d bytes", len(whole.key))
		}
	})
}
