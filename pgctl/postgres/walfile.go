package postgres

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// ErrBadWALFile is what ParseWALFile returns, wrapped with the name that it was given.
var ErrBadWALFile = errors.New("not the name of a WAL segment")

// Page header sizes of the log (access/xlog_internal.h), the same on every supported version.
const (
	walPageSize        = 8192
	walShortPageHeader = 24
	walLongPageHeader  = 40
	walAlign           = 8
)

// WALFile names one segment of the log: a timeline and a running number.
type WALFile struct {
	Timeline Timeline
	Segment  uint64
}

// WALFileAt is the segment that holds the byte at l, for segments of segSize bytes.
func WALFileAt(t Timeline, l LSN, segSize uint64) WALFile {
	return WALFile{Timeline: t, Segment: uint64(l) / segSize}
}

// Name is the segment's file name below pg_wal: 24 hexadecimal digits.
func (f WALFile) Name(segSize uint64) string {
	perID := (uint64(math.MaxUint32) + 1) / segSize
	return fmt.Sprintf("%08X%08X%08X", uint32(f.Timeline), f.Segment/perID, f.Segment%perID)
}

// ParseWALFile reads a file name as PostgreSQL writes it; names of history, backup and partial files are refused.
func ParseWALFile(name string, segSize uint64) (WALFile, error) {
	if len(name) != 24 || segSize == 0 {
		return WALFile{}, fmt.Errorf("%q: %w", name, ErrBadWALFile)
	}
	var n [3]uint64
	for i := range n {
		v, err := parseHex32(name[8*i : 8*i+8])
		if err != nil {
			return WALFile{}, fmt.Errorf("%q: %w", name, ErrBadWALFile)
		}
		n[i] = v
	}
	perID := (uint64(math.MaxUint32) + 1) / segSize
	if n[0] == 0 || n[2] >= perID {
		return WALFile{}, fmt.Errorf("%q: %w", name, ErrBadWALFile)
	}
	return WALFile{Timeline: Timeline(n[0]), Segment: n[1]*perID + n[2]}, nil
}

// RecordEnd is the position right behind a record of length bytes that starts at l: its pieces are aligned to eight bytes, and
// each page that it runs into costs a page header. It is where the next record would start but for that record's own page
// header, and thereby what a timeline's history names as its switch point when this is the last record before the switch.
func RecordEnd(l LSN, length uint32, segSize uint64) LSN {
	left := (uint64(length) + walAlign - 1) / walAlign * walAlign
	pos := uint64(l)
	for {
		room := walPageSize - pos%walPageSize
		if left <= room {
			return LSN(pos + left)
		}
		left -= room
		pos += room
		if segSize > 0 && pos%segSize == 0 {
			pos += walLongPageHeader
		} else {
			pos += walShortPageHeader
		}
	}
}

// ArchiveCommand fills archive_command in for a file: %p is its path, %f its name, %% a percent sign (manual, section 26.3.1).
func ArchiveCommand(template, path, name string) string {
	return strings.NewReplacer("%p", path, "%f", name, "%%", "%").Replace(template)
}

// RestoreCommand fills restore_command in for a file, as [ArchiveCommand] does. %r is the oldest file that must be kept; it says that all must be, as
// PostgreSQL does where it only looks whether a file is there (xlogarchive.c, RestoreArchivedFile).
func RestoreCommand(template, path, name string) string {
	return strings.NewReplacer("%p", path, "%f", name, "%r", strings.Repeat("0", 24), "%%", "%").Replace(template)
}
