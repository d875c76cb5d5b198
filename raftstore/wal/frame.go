package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

const (
	magic     = 0x4c415751 // "QWAL"
	version   = 1
	frameHead = 24
	idLen     = 16
	// entryHead is what an entry takes beside its data and extensions: index, term, time, both lengths, type.
	entryHead = 8 + 8 + 8 + 4 + 4 + 1
)

// The kinds of frames.
const (
	kindHead uint32 = iota + 1
	kindEntries
	kindDeleteBefore
	kindDeleteFrom
	kindSet
	kindSeal
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("not a frame")

// frame is one frame as read.
type frame struct {
	kind    uint32
	seq     uint64
	payload []byte
	size    int // with head and padding
}

func padded(n int) int { return (n + 7) &^ 7 }

func checksum(id [idLen]byte, segment uint64, b []byte) uint32 {
	var seed [idLen + 8]byte
	copy(seed[:], id[:])
	binary.LittleEndian.PutUint64(seed[idLen:], segment)
	return crc32.Update(crc32.Checksum(seed[:], castagnoli), castagnoli, b)
}

// finish completes a frame: b has room for its head, and the payload behind.
func finish(b []byte, id [idLen]byte, segment uint64, kind uint32, seq uint64) []byte {
	le := binary.LittleEndian
	le.PutUint32(b[4:], magic)
	le.PutUint32(b[8:], uint32(len(b)-frameHead))
	le.PutUint32(b[12:], kind)
	le.PutUint64(b[16:], seq)
	le.PutUint32(b, checksum(id, segment, b[4:]))
	return append(b, make([]byte, padded(len(b))-len(b))...)
}

// parse reads the frame at the start of b.
func parse(b []byte, id [idLen]byte, segment uint64) (frame, error) {
	le := binary.LittleEndian
	if len(b) < frameHead || le.Uint32(b[4:]) != magic {
		return frame{}, errFrame
	}
	n := int64(le.Uint32(b[8:]))
	if n > int64(len(b)-frameHead) {
		return frame{}, errFrame
	}
	end := frameHead + int(n)
	if le.Uint32(b) != checksum(id, segment, b[4:end]) {
		return frame{}, errFrame
	}
	return frame{kind: le.Uint32(b[12:]), seq: le.Uint64(b[16:]), payload: b[frameHead:end], size: padded(end)}, nil
}

// head is the first frame of a segment.
type head struct {
	id          [idLen]byte
	segment     uint64
	size        uint64 // of the file
	first, last uint64 // of the entries in earlier segments; none when first > last
	values      map[string][]byte
	seq         uint64 // of the frame; not in the payload
}

func appendHead(b []byte, h head) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, version)
	b = append(b, h.id[:]...)
	b = le.AppendUint64(b, h.segment)
	b = le.AppendUint64(b, h.size)
	b = le.AppendUint64(b, h.first)
	b = le.AppendUint64(b, h.last)
	b = le.AppendUint32(b, uint32(len(h.values)))
	for k, v := range h.values {
		b = appendPair(b, []byte(k), v)
	}
	return b
}

// parseHead reads the head of a segment, whose payload says by which id its checksum is to be taken.
func parseHead(b []byte) (head, frame, error) {
	const idAt = frameHead + 4
	h := head{values: map[string][]byte{}}
	if len(b) < idAt+idLen+8 {
		return h, frame{}, errFrame
	}
	copy(h.id[:], b[idAt:])
	f, err := parse(b, h.id, binary.LittleEndian.Uint64(b[idAt+idLen:]))
	if err != nil || f.kind != kindHead {
		return h, f, errFrame
	}
	r := reader{b: f.payload}
	if v := r.u32(); v != version {
		return h, f, fmt.Errorf("format %d is not known to this version", v)
	}
	r.take(idLen)
	h.segment, h.size, h.first, h.last = r.u64(), r.u64(), r.u64(), r.u64()
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		k, v := r.pair()
		h.values[string(k)] = append([]byte(nil), v...)
	}
	return h, f, r.done()
}

func appendPair(b, key, val []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(val)))
	return append(b, val...)
}

func appendEntry(b []byte, e *raft.Log) []byte {
	le := binary.LittleEndian
	b = le.AppendUint64(b, e.Index)
	b = le.AppendUint64(b, e.Term)
	var at int64
	if !e.AppendedAt.IsZero() {
		at = e.AppendedAt.UnixNano()
	}
	b = le.AppendUint64(b, uint64(at))
	b = le.AppendUint32(b, uint32(len(e.Data)))
	b = le.AppendUint32(b, uint32(len(e.Extensions)))
	b = append(b, byte(e.Type))
	b = append(b, e.Data...)
	return append(b, e.Extensions...)
}

// parseEntry reads one entry, whose bytes it copies.
func parseEntry(b []byte, e *raft.Log) (n int, err error) {
	r := reader{b: b}
	*e = raft.Log{Index: r.u64(), Term: r.u64()}
	if at := int64(r.u64()); at != 0 {
		e.AppendedAt = time.Unix(0, at)
	}
	data, ext := r.u32(), r.u32()
	e.Type = raft.LogType(append(r.take(1), 0)[0])
	if d := r.take(int64(data)); len(d) > 0 {
		e.Data = append([]byte(nil), d...)
	}
	if x := r.take(int64(ext)); len(x) > 0 {
		e.Extensions = append([]byte(nil), x...)
	}
	return len(b) - len(r.b), r.err
}

// entrySize is what an entry takes in a frame.
func entrySize(e *raft.Log) int { return entryHead + len(e.Data) + len(e.Extensions) }

// reader takes a payload apart; after an error it gives zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int64) []byte {
	if r.err != nil || n > int64(len(r.b)) {
		r.err = errFrame
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (r *reader) pair() (key, val []byte) {
	key = r.take(int64(r.u32()))
	return key, r.take(int64(r.u32()))
}

func (r *reader) done() error {
	if r.err == nil && len(r.b) > 0 {
		return errFrame
	}
	return r.err
}
