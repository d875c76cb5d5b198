package instance

import (
	"context"
	"fmt"
	"os"

	"quorate/pgctl/postgres"
)

// walPosition is an end of log on a timeline.
type walPosition struct {
	History postgres.History // of the timeline that the end is on
	LSN     postgres.LSN
}

// walRange is a stretch of the data folder's log to be read.
type walRange struct {
	postgres.Stretch        // Begin is a record's beginning
	segSize          uint64 // bytes
	manager          string // only records of this resource manager; "": all
}

// walkWAL calls each with every record of the range that is there. That the log ends before the range does, or that nothing is there, is
// no error.
func (i *Instance) walkWAL(ctx context.Context, r walRange, each func(postgres.WALRecord)) error {
	program, err := i.program(ctx, "pg_waldump")
	if err != nil {
		return err
	}
	r.End = min(r.End, i.filesEnd(r))
	if r.Begin >= r.End {
		return nil
	}
	args := []string{"-p", i.dataPath("pg_wal"), "-t", fmt.Sprint(r.Timeline), "-s", r.Begin.String(), "-e", r.End.String()}
	if r.manager != "" {
		args = append(args, "-r", r.manager)
	}
	// It takes the size of the segments from the file that is named; else from any one that it meets, which may be one that was made in advance
	// and is full of zeros.
	first, last := postgres.WALFileAt(r.Timeline, r.Begin, r.segSize), postgres.WALFileAt(r.Timeline, r.End-1, r.segSize)
	args = append(args, first.Name(r.segSize), last.Name(r.segSize))
	_, err = i.run(ctx, command{path: program, args: args, env: []string{"LC_ALL=C"}, out: func(l string) {
		if r, err := postgres.ParseWALRecord(l); err == nil {
			each(r)
		}
	}})
	if said(err, "error in WAL record at", "could not find a valid record after", "header specifies 0 bytes") {
		return nil
	}
	return err
}

// filesEnd is where the segments end that follow without a gap from the range's beginning on. pg_waldump would wait for five seconds for the
// next one to come.
func (i *Instance) filesEnd(r walRange) postgres.LSN {
	f := postgres.WALFileAt(r.Timeline, r.Begin, r.segSize)
	for exists(i.dataPath("pg_wal", f.Name(r.segSize))) {
		f.Segment++
	}
	return postgres.LSN(f.Segment * r.segSize)
}

// walEnd finds the end of the log in the data folder: the end of the last whole record from an LSN on, on the timeline of h and on those
// that branch off where it ends and whose log is there too. That is how far a start would replay.
func (i *Instance) walEnd(ctx context.Context, h postgres.History, from postgres.LSN) (walPosition, error) {
	c, err := i.ControlData(ctx)
	if err != nil {
		return walPosition{}, err
	}
	pos := walPosition{History: h, LSN: from}
	for {
		rest := walRange{postgres.Stretch{Timeline: pos.History.Timeline, Begin: pos.LSN, End: postgres.MaxLSN}, c.WALSegmentSize, ""}
		err := i.walkWAL(ctx, rest, func(r postgres.WALRecord) {
			pos.LSN = max(pos.LSN, postgres.RecordEnd(r.LSN, r.Length, c.WALSegmentSize))
		})
		if err != nil {
			return pos, err
		}
		next, ok := i.childTimeline(pos, c.WALSegmentSize)
		if !ok {
			return pos, nil
		}
		pos.History = next
	}
}

// childTimeline is a timeline of which the folder holds history and log, and that begins where pos is.
func (i *Instance) childTimeline(pos walPosition, segSize uint64) (postgres.History, bool) {
	entries, err := os.ReadDir(i.dataPath("pg_wal"))
	if err != nil {
		return postgres.History{}, false
	}
	for _, e := range entries {
		var n uint32
		if _, err := fmt.Sscanf(e.Name(), "%08X.history", &n); err != nil || postgres.Timeline(n) <= pos.History.Timeline {
			continue
		}
		h, err := i.LocalHistory(postgres.Timeline(n))
		if err != nil || h.Begin() != pos.LSN || h.Switches[len(h.Switches)-1].Timeline != pos.History.Timeline {
			continue
		}
		if exists(i.dataPath("pg_wal", postgres.WALFileAt(h.Timeline, pos.LSN, segSize).Name(segSize))) {
			return h, true
		}
	}
	return postgres.History{}, false
}

// LocalEnd tells how far the log of a folder at rest goes, and on which timeline: what a start on it would replay.
func (i *Instance) LocalEnd(ctx context.Context) (postgres.History, postgres.LSN, error) {
	pos, err := i.controlPosition(ctx)
	if err == nil {
		pos, err = i.walEnd(ctx, pos.History, pos.LSN)
	}
	return pos.History, pos.LSN, err
}

// localEndFrom is LocalEnd that reads no more log than it takes to compare it with another history: from the point on where the two
// part, if that lies behind the last checkpoint. When the local log does not reach that far the answer is that point.
func (i *Instance) localEndFrom(ctx context.Context, other postgres.History) (postgres.History, postgres.LSN, error) {
	pos, err := i.controlPosition(ctx)
	if err != nil {
		return pos.History, 0, err
	}
	fork, err := postgres.Fork(pos.History, other)
	if err != nil {
		return pos.History, 0, err
	}
	if fork.Timeline == pos.History.Timeline && fork.LSN > pos.LSN && fork.LSN != postgres.MaxLSN {
		pos.LSN = fork.LSN
	}
	pos, err = i.walEnd(ctx, pos.History, pos.LSN)
	return pos.History, pos.LSN, err
}

// controlPosition is a record's beginning near the end of the log, by the control file.
func (i *Instance) controlPosition(ctx context.Context) (walPosition, error) {
	c, err := i.ControlData(ctx)
	if err != nil {
		return walPosition{}, err
	}
	t, from := c.Timeline, c.Checkpoint
	if c.MinRecoveryEnd > c.Checkpoint && c.MinRecoveryEndTL >= t {
		t, from = c.MinRecoveryEndTL, c.MinRecoveryEnd
	}
	h, err := i.LocalHistory(t)
	return walPosition{History: h, LSN: from}, err
}
