package raftstore

// logSizes remembers the size of each entry in the log. Raft counts entries where we count bytes: a hundred entries may
// be ten kilobytes or a hundred megabytes.
type logSizes struct {
	first uint64
	sizes []int64
}

// append adds entry index, which replaces it and all after it when they were there.
func (l *logSizes) append(index uint64, size int64) {
	switch {
	case len(l.sizes) == 0 || index < l.first || index > l.first+uint64(len(l.sizes)):
		l.first, l.sizes = index, l.sizes[:0] // empty, or a gap: what was before is of no use
	default:
		l.sizes = l.sizes[:index-l.first]
	}
	l.sizes = append(l.sizes, size)
}

// delete removes entries min..max, which lie at either end.
func (l *logSizes) delete(min, max uint64) {
	if len(l.sizes) == 0 {
		return
	}
	last := l.first + uint64(len(l.sizes)) - 1
	switch {
	case max >= last && min <= l.first:
		l.sizes = nil
	case max >= last && min <= last:
		l.sizes = l.sizes[:min-l.first]
	case min <= l.first && max >= l.first:
		l.sizes = append([]int64(nil), l.sizes[max+1-l.first:]...)
		l.first = max + 1
	}
}

// bounds are the indexes of the first and the last entry, 0 and 0 when there is none.
func (l *logSizes) bounds() (first, last uint64) {
	if len(l.sizes) == 0 {
		return 0, 0
	}
	return l.first, l.first + uint64(len(l.sizes)) - 1
}

func (l *logSizes) holds(index uint64) bool {
	return len(l.sizes) > 0 && index >= l.first && index-l.first < uint64(len(l.sizes))
}

// tail is how many of the newest entries fit into a number of bytes, and whether these are all.
func (l *logSizes) tail(bytes int64) (n uint64, all bool) {
	for i := len(l.sizes) - 1; i >= 0; i-- {
		if bytes -= l.sizes[i]; bytes < 0 {
			return n, false
		}
		n++
	}
	return n, true
}

// after is the size of all entries beyond index.
func (l *logSizes) after(index uint64) (sum int64) {
	for i := len(l.sizes) - 1; i >= 0 && l.first+uint64(i) > index; i-- {
		sum += l.sizes[i]
	}
	return sum
}
