package raftstore

import "github.com/hashicorp/raft"

const (
	// recentBytes and recentCount bound the newest entries that are kept in memory: followers and the state machine read them, and a read of
	// the disk could hang.
	recentBytes = 1 << 20
	recentCount = 1024
)

// recentEntries are the newest entries of the log, without a gap.
type recentEntries struct {
	entries []*raft.Log
	bytes   int64
}

// append adds an entry, which replaces it and all after it when they were there.
func (r *recentEntries) append(l *raft.Log) {
	if n := len(r.entries); n > 0 {
		switch first := r.entries[0].Index; {
		case l.Index < first || l.Index > first+uint64(n):
			*r = recentEntries{}
		default:
			r.cut(l.Index - first)
		}
	}
	r.entries = append(r.entries, l)
	r.bytes += logSize(l)
}

// cut keeps the first n entries.
func (r *recentEntries) cut(n uint64) {
	for i := n; i < uint64(len(r.entries)); i++ {
		r.bytes -= logSize(r.entries[i])
		r.entries[i] = nil
	}
	r.entries = r.entries[:n]
}

// trim keeps within the bounds, but the newest keep entries in any case.
func (r *recentEntries) trim(keep uint64) {
	n := 0
	for ; uint64(len(r.entries)-n) > keep && (len(r.entries)-n > recentCount || r.bytes > recentBytes); n++ {
		r.bytes -= logSize(r.entries[n])
		r.entries[n] = nil
	}
	r.entries = r.entries[n:]
}

func (r *recentEntries) get(index uint64) *raft.Log {
	if len(r.entries) == 0 || index < r.entries[0].Index || index-r.entries[0].Index >= uint64(len(r.entries)) {
		return nil
	}
	return r.entries[index-r.entries[0].Index]
}

// newest returns a copy of the list of the newest n entries.
func (r *recentEntries) newest(n uint64) []*raft.Log {
	return append([]*raft.Log(nil), r.entries[uint64(len(r.entries))-n:]...)
}

// delete removes entries min..max, which lie at either end of the log.
func (r *recentEntries) delete(min, max uint64) {
	if len(r.entries) == 0 {
		return
	}
	first := r.entries[0].Index
	last := first + uint64(len(r.entries)) - 1
	switch {
	case max >= last && min <= first:
		*r = recentEntries{}
	case max >= last && min <= last:
		r.cut(min - first)
	case max >= first && max < last:
		for r.entries[0].Index <= max {
			r.bytes -= logSize(r.entries[0])
			r.entries[0] = nil
			r.entries = r.entries[1:]
		}
	}
}
