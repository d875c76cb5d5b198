package raftstore

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// errShort is returned by a reader that came to the end of its bytes before the message did.
var errShort = errors.New("raftstore: message is cut short")

// writer builds a message of ours: unsigned and signed numbers as varints, byte strings with their length before them.
// Fields have no tags: a message is its fields in order, and a new field goes to the end.
type writer []byte

func (w *writer) u64(v uint64)   { *w = binary.AppendUvarint(*w, v) }
func (w *writer) i64(v int64)    { *w = binary.AppendVarint(*w, v) }
func (w *writer) bytes(b []byte) { w.u64(uint64(len(b))); *w = append(*w, b...) }
func (w *writer) str(s string)   { w.u64(uint64(len(s))); *w = append(*w, s...) }

func (w *writer) bool(b bool) {
	if b {
		w.u64(1)
		return
	}
	w.u64(0)
}

func (w *writer) strs(list []string) {
	w.u64(uint64(len(list)))
	for _, s := range list {
		w.str(s)
	}
}

// reader takes a message of ours apart. The first failure sticks: read everything, then ask err once.
type reader struct {
	buf []byte
	err error
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = errShort
	}
	r.buf = nil
}

func (r *reader) u64() uint64 {
	v, n := binary.Uvarint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

func (r *reader) i64() int64 {
	v, n := binary.Varint(r.buf)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.buf = r.buf[n:]
	return v
}

// bytes returns the next byte string; it shares memory with the message.
func (r *reader) bytes() []byte {
	n := r.u64()
	if n > uint64(len(r.buf)) {
		r.fail()
		return nil
	}
	b := r.buf[:n:n]
	r.buf = r.buf[n:]
	return b
}

func (r *reader) str() string { return string(r.bytes()) }
func (r *reader) bool() bool  { return r.u64() != 0 }

func (r *reader) strs() []string {
	n := r.count(1)
	var list []string
	for range n {
		list = append(list, r.str())
	}
	return list
}

// count reads how many elements follow and refuses a number that the remaining bytes cannot hold, each being at least min
// bytes long: a broken message must not make us allocate.
func (r *reader) count(min int) int {
	n := r.u64()
	if n > uint64(len(r.buf)/min) {
		r.fail()
		return 0
	}
	return int(n)
}

// done reports the first failure, or that bytes were left over where none are allowed.
func (r *reader) done(what string) error {
	if r.err != nil {
		return fmt.Errorf("decode %s: %w", what, r.err)
	}
	return nil
}
