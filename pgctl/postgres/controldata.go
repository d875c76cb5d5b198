package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadControlData is an output of pg_controldata that lacks what every version prints, or says it otherwise.
var ErrBadControlData = errors.New("unexpected output of pg_controldata")

// ClusterState is "Database cluster state" of the control file.
type ClusterState string

// The states of access/xlog.c.
const (
	StateStartingUp      ClusterState = "starting up"
	StateShutDown        ClusterState = "shut down"
	StateShutDownStandby ClusterState = "shut down in recovery"
	StateShuttingDown    ClusterState = "shutting down"
	StateCrashRecovery   ClusterState = "in crash recovery"
	StateArchiveRecovery ClusterState = "in archive recovery"
	StateInProduction    ClusterState = "in production"
)

// Clean says whether the cluster was stopped in order, so that its log ends where the control file says and pg_rewind accepts it.
func (s ClusterState) Clean() bool { return s == StateShutDown || s == StateShutDownStandby }

// WasPrimary says whether the last to run in the folder was a primary (or its start after a crash), not a standby.
func (s ClusterState) WasPrimary() bool {
	return s == StateShutDown || s == StateInProduction || s == StateCrashRecovery || s == StateShuttingDown
}

// ControlData is what the control file of a data folder says.
type ControlData struct {
	SystemID           string // decimal, as the initialize key holds it
	State              ClusterState
	Checkpoint         LSN // where the latest checkpoint record starts
	Redo               LSN
	Timeline           Timeline // of the latest checkpoint
	PrevTimeline       Timeline
	MinRecoveryEnd     LSN // 0 on a primary
	MinRecoveryEndTL   Timeline
	BackupStart        LSN // not 0: a base backup whose recovery has not reached consistency
	WALLogHints        bool
	Checksums          bool
	WALLevel           string
	TrackCommitTS      bool
	WALSegmentSize     uint64 // bytes
	MaxConnections     int
	MaxWorkerProcesses int
	MaxWALSenders      int
	MaxPreparedXacts   int
	MaxLocksPerXact    int
}

// RewindPossible says whether pg_rewind can work on the folder: it needs either of two ways to notice every changed page.
func (c ControlData) RewindPossible() bool { return c.WALLogHints || c.Checksums }

// ParseControlData reads the output of pg_controldata run with LC_ALL=C.
func ParseControlData(out string) (ControlData, error) {
	f := make(map[string]string)
	for line := range strings.SplitSeq(out, "\n") {
		if k, v, ok := strings.Cut(line, ":"); ok {
			f[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	r := controlReader{fields: f}
	c := ControlData{
		SystemID:           r.text("Database system identifier"),
		State:              ClusterState(r.text("Database cluster state")),
		Checkpoint:         r.lsn("Latest checkpoint location"),
		Redo:               r.lsn("Latest checkpoint's REDO location"),
		Timeline:           Timeline(r.number("Latest checkpoint's TimeLineID")),
		PrevTimeline:       Timeline(r.number("Latest checkpoint's PrevTimeLineID")),
		MinRecoveryEnd:     r.lsn("Minimum recovery ending location"),
		MinRecoveryEndTL:   Timeline(r.number("Min recovery ending loc's timeline")),
		BackupStart:        r.lsn("Backup start location"),
		WALLogHints:        r.text("wal_log_hints setting") == "on",
		Checksums:          r.number("Data page checksum version") != 0,
		WALLevel:           r.text("wal_level setting"),
		TrackCommitTS:      r.text("track_commit_timestamp setting") == "on",
		WALSegmentSize:     r.number("Bytes per WAL segment"),
		MaxConnections:     int(r.number("max_connections setting")),
		MaxWorkerProcesses: int(r.number("max_worker_processes setting")),
		MaxWALSenders:      int(r.number("max_wal_senders setting")),
		MaxPreparedXacts:   int(r.number("max_prepared_xacts setting")),
		MaxLocksPerXact:    int(r.number("max_locks_per_xact setting")),
	}
	if r.err != nil {
		return ControlData{}, r.err
	}
	return c, nil
}

// controlReader keeps the first error, so that the list above stays a list.
type controlReader struct {
	fields map[string]string
	err    error
}

func (r *controlReader) text(name string) string {
	v, ok := r.fields[name]
	if (!ok || v == "") && r.err == nil {
		r.err = fmt.Errorf("%w: no %q", ErrBadControlData, name)
	}
	return v
}

func (r *controlReader) number(name string) uint64 {
	s := r.text(name)
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: %s is %q", ErrBadControlData, name, s)
	}
	return n
}

func (r *controlReader) lsn(name string) LSN {
	s := r.text(name)
	l, err := ParseLSN(s)
	if err != nil && r.err == nil {
		r.err = fmt.Errorf("%w: %s is %q", ErrBadControlData, name, s)
	}
	return l
}
