package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// BackupProgress is a line of pg_basebackup --progress.
type BackupProgress struct {
	Done, Total int64 // bytes
}

// ParseBackupProgress reads "12345/67890 kB (18%), 0/1 tablespace"; ok is false for any other line.
func ParseBackupProgress(line string) (p BackupProgress, ok bool) {
	counts, _, found := strings.Cut(strings.TrimSpace(line), " kB (")
	done, total, slash := strings.Cut(counts, "/")
	if !found || !slash {
		return p, false
	}
	d, err1 := strconv.ParseInt(done, 10, 53)
	t, err2 := strconv.ParseInt(total, 10, 53)
	if err1 != nil || err2 != nil || d < 0 || t < 0 {
		return p, false
	}
	return BackupProgress{Done: d << 10, Total: t << 10}, true
}

// ErrBadWALDump is an output of pg_waldump that does not begin with a record.
var ErrBadWALDump = errors.New("unexpected output of pg_waldump")

// WALRecord is a line of pg_waldump.
type WALRecord struct {
	Manager string // resource manager: XLOG, Transaction, Heap, ...
	Length  uint32 // bytes, page headers not counted
	XID     uint64
	LSN     LSN
	Prev    LSN
	Desc    string
}

// ParseWALRecord reads a line "rmgr: XLOG len (rec/tot): 114/ 114, tx: 0, lsn: 0/0152F188, prev 0/0152F150, desc: ...".
func ParseWALRecord(line string) (WALRecord, error) {
	bad := func() (WALRecord, error) { return WALRecord{}, fmt.Errorf("%q: %w", line, ErrBadWALDump) }
	head, desc, ok := strings.Cut(line, ", desc: ")
	rest, isRecord := strings.CutPrefix(head, "rmgr: ")
	if !ok || !isRecord {
		return bad()
	}
	manager, rest, ok := strings.Cut(rest, "len (rec/tot):")
	f := strings.Split(rest, ",")
	if !ok || len(f) != 4 {
		return bad()
	}
	r := WALRecord{Manager: strings.TrimSpace(manager), Desc: desc}
	_, total, _ := strings.Cut(f[0], "/")
	n, err1 := strconv.ParseUint(strings.TrimSpace(total), 10, 32)
	xid, err2 := strconv.ParseUint(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(f[1]), "tx:")), 10, 64)
	lsn, err3 := ParseLSN(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(f[2]), "lsn:")))
	prev, err4 := ParseLSN(strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(f[3]), "prev")))
	if errors.Join(err1, err2, err3, err4) != nil {
		return bad()
	}
	r.Length, r.XID, r.LSN, r.Prev = uint32(n), xid, lsn, prev
	return r, nil
}

// IsCommit says whether the record made a transaction durable.
func (r WALRecord) IsCommit() bool {
	return r.Manager == "Transaction" && strings.HasPrefix(r.Desc, "COMMIT")
}

// IsPrepare says whether the record made a transaction durable for a commit in two phases.
func (r WALRecord) IsPrepare() bool {
	return r.Manager == "Transaction" && strings.HasPrefix(r.Desc, "PREPARE")
}

// ConfigErrorParam finds the parameter that PostgreSQL complains about in a line of its log while it reads its configuration, "" when
// the line is no such complaint.
func ConfigErrorParam(line string) string {
	for _, lead := range []string{
		`unrecognized configuration parameter "`, `invalid value for parameter "`, `parameter "`, `for parameter "`,
	} {
		_, rest, ok := strings.Cut(line, lead)
		if !ok {
			continue
		}
		if name, _, ok := strings.Cut(rest, `"`); ok && validParamName(name) {
			return strings.ToLower(name)
		}
	}
	return ""
}
