package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"quorate/pgctl/postgres"
)

// LossReport says what a rewind or a new clone gave up, and where it is kept.
type LossReport struct {
	At           time.Time          `json:"at"` // wall clock, for people
	SystemID     string             `json:"system_identifier"`
	Timeline     postgres.Timeline  `json:"timeline"` // the local one
	Fork         postgres.ForkPoint `json:"fork"`     // where the histories parted
	End          postgres.LSN       `json:"end"`      // how far the local log went
	Bytes        int64              `json:"bytes"`    // of log behind the fork
	Transactions int                `json:"transactions"`
	// Kept is the folder with the log from the fork's segment on, or with the whole former data folder; "" when nothing was lost.
	Kept      string   `json:"kept"`
	KeptBytes int64    `json:"kept_bytes"`
	Files     []string `json:"files,omitempty"`
}

// Lost says whether anything that was written is not in the history that is followed now.
func (r LossReport) Lost() bool { return r.Bytes > 0 }

// String is a sentence.
func (r LossReport) String() string {
	switch {
	case r.Kept == "" && !r.Lost():
		return "nothing was lost"
	case !r.Lost():
		return "what the former folder holds could not be compared; kept in " + r.Kept
	}
	kept := "kept in " + r.Kept
	if r.Kept == "" {
		kept = "not kept"
	}
	return fmt.Sprintf("%d bytes of timeline %d behind %s with %d committed transactions are not in the history that is followed; %s",
		r.Bytes, r.Timeline, r.Fork.LSN, r.Transactions, kept)
}

// divergedDir is where the divergent log of each rewind is kept, below the state folder.
const divergedDir = "diverged"

// stamp is the time in a folder's name.
const stamp = "20060102T150405.000Z"

// assess counts what the local log holds behind the fork.
func (i *Instance) assess(ctx context.Context, w WALCheck, c postgres.ControlData) (LossReport, error) {
	r := LossReport{At: time.Now().UTC(), SystemID: c.SystemID, Timeline: w.History.Timeline, Fork: w.Fork, End: w.End, Bytes: w.Bytes}
	for _, part := range postgres.Lost(w.History, w.Fork, w.End) {
		err := i.walkWAL(ctx, walRange{part, c.WALSegmentSize, "Transaction"}, func(rec postgres.WALRecord) {
			if rec.IsCommit() {
				r.Transactions++
			}
		})
		if err != nil {
			return r, fmt.Errorf("counting the transactions behind %s: %w", part.Begin, err)
		}
	}
	return r, nil
}

// keepWAL copies the log behind the fork, with the histories, into a folder of its own, and the report beside it. It must be on
// disk before anything is overwritten: it may be the only copy of acknowledged commits.
func (i *Instance) keepWAL(w WALCheck, segSize uint64, r *LossReport) error {
	if done, err := i.keptBefore(r); done || err != nil {
		return err
	}
	names, size, err := i.divergentFiles(w, segSize)
	if err != nil {
		return err
	}
	dir := i.statePath(divergedDir, r.At.Format(stamp))
	if err := i.mkdir(i.statePath(divergedDir)); err != nil {
		return err
	}
	free, _, err := diskFree(i.opt.StateDir)
	if err != nil {
		return err
	}
	if free < size {
		return fmt.Errorf("%w: %d bytes of WAL for %s, %d are free: make space, or remove what is kept from earlier (`quorate diverged`)", ErrNoSpace, size, dir, free)
	}
	if err := i.mkdir(dir); err != nil {
		return err
	}
	for _, n := range names {
		b, err := i.copyFile(i.dataPath("pg_wal", n), filepath.Join(dir, n))
		if err != nil {
			return fmt.Errorf("keeping %s aside: %w", n, err)
		}
		r.KeptBytes += b
	}
	r.Kept, r.Files = dir, names
	return i.writeReport(filepath.Join(dir, reportFile), *r)
}

// keptBefore finds the copy that an earlier attempt made of the same log, so that attempts that fail again and again do not fill the disk.
// A copy without a report was broken off before anything was changed, and goes.
func (i *Instance) keptBefore(r *LossReport) (bool, error) {
	logs, err := i.DivergedLogs()
	if err != nil {
		return false, err
	}
	for _, d := range logs {
		var old LossReport
		b, err := os.ReadFile(filepath.Join(d.Path, reportFile))
		if errors.Is(err, fs.ErrNotExist) {
			if err := os.RemoveAll(d.Path); err != nil {
				return false, err
			}
			continue
		}
		if err == nil {
			err = json.Unmarshal(b, &old)
		}
		if err != nil {
			return false, fmt.Errorf("report of %s: %w", d.Path, err)
		}
		if old.covers(*r) {
			*r = old
			return true, nil
		}
	}
	return false, nil
}

// covers says whether what r has kept holds all that o is about: beyond its end there is only what the crash recovery of that attempt wrote.
func (r LossReport) covers(o LossReport) bool {
	return r.SystemID == o.SystemID && r.Timeline == o.Timeline && r.Fork == o.Fork && r.End <= o.End && r.Transactions == o.Transactions
}

const reportFile = "report.json"

func (i *Instance) writeReport(path string, r LossReport) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return i.writeFile(path, append(b, '\n'))
}

// divergentFiles are the segments from the fork on, on each of the local timelines behind it, and all histories.
func (i *Instance) divergentFiles(w WALCheck, segSize uint64) (names []string, size int64, err error) {
	first := map[postgres.Timeline]uint64{}
	for _, part := range postgres.Lost(w.History, w.Fork, w.End) {
		first[part.Timeline] = uint64(part.Begin) / segSize
	}
	entries, err := os.ReadDir(i.dataPath("pg_wal"))
	if err != nil {
		return nil, 0, err
	}
	last := uint64(w.End) / segSize // recycled segments lie behind
	for _, e := range entries {
		keep := strings.HasSuffix(e.Name(), ".history")
		if f, err := postgres.ParseWALFile(e.Name(), segSize); err == nil {
			from, ours := first[f.Timeline]
			keep = ours && f.Segment >= from && f.Segment <= last
		}
		if !keep {
			continue
		}
		fi, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		names, size = append(names, e.Name()), size+fi.Size()
	}
	return names, size, nil
}
