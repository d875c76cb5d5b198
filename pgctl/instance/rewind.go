package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"quorate/pgctl/postgres"
)

// RewindOptions say whose history to go back to.
type RewindOptions struct {
	Host string
	Port int
	Name string // this member's name, as the source sees it
}

// Rewind takes a stopped data folder whose log has left the source's history back to the point where they parted, by pg_rewind, and
// leaves it at rest, ready for StartStandby. Before anything is changed the log behind that point is kept aside, and what it holds is
// counted. A folder that has not diverged is left alone.
//
// ErrRewindImpossible: pg_rewind cannot work here, and a clone is needed. ErrNoSpace: the log to be kept does not fit. When pg_rewind
// itself is broken off, the folder is of no use any more: ErrUnfinished from then on, until Reclone.
func (i *Instance) Rewind(ctx context.Context, o RewindOptions) (r LossReport, err error) {
	done, err := i.begin("rewind")
	if err != nil {
		return r, err
	}
	defer done(&err)
	c, err := i.startable(ctx)
	if err != nil {
		return r, err
	}
	if !c.RewindPossible() {
		return r, fmt.Errorf("%w: %s has neither data checksums nor wal_log_hints", ErrRewindImpossible, i.opt.DataDir)
	}
	if err := i.finishRecoveryMarker(); err != nil {
		return r, err
	}
	i.confMu.Lock()
	i.cut, i.closed = false, false // pg_rewind takes from the archive what of the shared history is gone here
	i.confMu.Unlock()
	if err := i.writeConfig(ctx); err != nil { // the programs read it
		return r, err
	}
	w, err := i.CheckWAL(ctx, o.Host, o.Port)
	if err != nil || !w.Diverged {
		return r, err
	}
	if w.History.Timeline == w.Source.Timeline {
		return r, fmt.Errorf("%w: both servers call their timeline %d, although it began at %s here and at %s there, and pg_rewind compares the numbers alone",
			ErrRewindImpossible, w.Source.Timeline, w.History.Begin(), w.Source.History.Begin())
	}
	if r, err = i.assess(ctx, w, c); err != nil {
		return r, err
	}
	i.progress("rewind", "keep the divergent log", 0, r.Bytes)
	if err := i.keepWAL(w, c.WALSegmentSize, &r); err != nil {
		return r, err
	}
	// The recovery of a crash writes log of its own, so that it comes after the counting and the keeping.
	if err := i.recoverCrash(ctx, c); err != nil {
		return r, err
	}
	if err := i.rewind(ctx, o, w, c.WALSegmentSize); err != nil {
		return r, err
	}
	i.lost(r)
	return r, nil
}

func (i *Instance) lost(r LossReport) {
	i.metrics.lostBytes.Add(float64(r.Bytes))
	i.metrics.lostXacts.Add(float64(r.Transactions))
	i.log.Warn("log of this server is not in the history that it follows", "bytes", r.Bytes, "transactions", r.Transactions,
		"timeline", r.Timeline, "fork", r.Fork.LSN, "end", r.End, "kept", r.Kept)
}

// rewind runs pg_rewind, first without changing anything: whatever it finds wrong then leaves the folder as it is.
func (i *Instance) rewind(ctx context.Context, o RewindOptions, w WALCheck, segSize uint64) error {
	v, err := i.Version(ctx)
	if err != nil {
		return err
	}
	if v.RewindNeedsCheckpoint() {
		i.progress("rewind", "wait for the source's checkpoint", 0, 0)
		if err := i.awaitSourceCheckpoint(ctx, o.Host, o.Port, w.Source.Timeline); err != nil {
			return err
		}
	}
	saved, err := i.readConfigFiles()
	if err != nil {
		return err
	}
	if err := i.aside(markRecovery); err != nil {
		return err
	}
	i.progress("rewind", "dry run", 0, 0)
	lean := i.newLeanSource(ctx, o, w.Fork, segSize)
	defer lean.close()
	needed, err := i.tryRewind(ctx, lean.conninfo(), v)
	if err != nil && lean.relay != nil && ctx.Err() == nil {
		i.log.Warn("pg_rewind is given its source itself, and fetches the whole log: it fails with the relay between them", "err", err)
		lean.close()
		needed, err = i.tryRewind(ctx, lean.conninfo(), v)
	}
	if err != nil {
		return errors.Join(err, i.putBack())
	}
	if !needed {
		return errors.Join(i.dropDivergent(w, segSize), i.putBack())
	}
	if err := i.mark(markRewind); err != nil {
		return err
	}
	i.progress("rewind", "rewind", 0, 0)
	lean.fresh()
	err = i.pgRewind(ctx, lean.conninfo(), v, nil, nil)
	if err := errors.Join(err, lean.giveBack()); err != nil { // a folder that is kept keeps its log, too
		return fmt.Errorf("the folder is half rewound: %w", err)
	}
	if err := i.restoreConfigFiles(saved); err != nil {
		return err
	}
	return i.putBack()
}

// dropDivergent removes the divergent log from pg_wal. pg_rewind leaves it there when none of it has been replayed, but a start would
// replay it. It has been kept aside; the part of the fork's segment that is needed comes from the source again.
func (i *Instance) dropDivergent(w WALCheck, segSize uint64) error {
	names, _, err := i.divergentFiles(w, segSize)
	if err != nil {
		return err
	}
	for _, n := range names {
		if strings.HasSuffix(n, ".history") {
			continue
		}
		if err := os.Remove(i.dataPath("pg_wal", n)); err != nil {
			return err
		}
	}
	return syncDir(i.dataPath("pg_wal"))
}

// rewindSource is how pg_rewind connects. The source is to compile nothing for it: PostgreSQL's estimate for the list of files is 50 million rows whatever
// there is, and it then spends seconds of CPU time on a query that takes a tenth of one (pg_rewind's libpq_source.c, and jit_above_cost).
func (i *Instance) rewindSource(o RewindOptions) postgres.Conninfo {
	c := i.toolConninfo(o.Host, o.Port, o.Name, i.accounts().Rewind).With("dbname", i.settings().Database)
	return c.With("options", strings.TrimSpace(c.Get("options")+" -c jit=off"))
}

// errTried ends a dry run that has seen what it is for.
var errTried = errors.New("the dry run has found nothing wrong")

// tryRewind runs the program without letting it change anything, and says whether it found something to do. All that can be wrong with the two folders shows
// before the program knows how much it will copy. What it would do from then on, fetch all of that and throw it away, is left out.
func (i *Instance) tryRewind(ctx context.Context, source postgres.Conninfo, v postgres.Version) (needed bool, err error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	needed = true
	err = i.pgRewind(ctx, source, v, []string{"--dry-run"}, func(l string) {
		switch {
		case strings.Contains(l, "no rewind required"):
			needed = false
		case strings.Contains(l, "need to copy"):
			end(errTried)
		}
	})
	if errors.Is(err, errTried) {
		err = nil
	}
	return needed, err
}

// pgRewind runs the program; also gets each of its lines, if it is not nil.
func (i *Instance) pgRewind(ctx context.Context, source postgres.Conninfo, v postgres.Version, more []string, also func(string)) error {
	program, err := i.program(ctx, "pg_rewind")
	if err != nil {
		return err
	}
	pass, err := i.PassFile()
	if err != nil {
		return err
	}
	i.confMu.Lock()
	restore := i.conf.Recovery["restore_command"] != ""
	extra := append([]string(nil), i.conf.PGRewind...)
	i.confMu.Unlock()
	args := []string{"-D", i.opt.DataDir, "--source-server=" + source.String(), "--progress"}
	if v.AtLeast(13) {
		args = append(args, "--no-ensure-shutdown") // it was seen to before
	}
	if restore && v.RewindRestoresWAL() {
		args = append(args, "--restore-target-wal")
		if v.AtLeast(15) {
			args = append(args, "--config-file="+i.confPath(confFile))
		}
	}
	log := i.progressLine("rewind", "pg_rewind")
	_, err = i.run(ctx, command{
		path: program, args: append(append(args, extra...), more...), env: []string{"PGPASSFILE=" + pass},
		line: func(l string) {
			log(l)
			if also != nil {
				also(l)
			}
		},
	})
	return err
}

// configFiles are files that pg_rewind replaces by the source's, although they are this member's own.
var configFiles = []string{confFile, baseConfFile, autoConfFile, hbaFile, identFile}

func (i *Instance) readConfigFiles() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, n := range configFiles {
		b, err := os.ReadFile(i.dataPath(n))
		if err == nil {
			out[n] = b
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	return out, nil
}

func (i *Instance) restoreConfigFiles(saved map[string][]byte) error {
	for n, b := range saved {
		if err := i.writeFile(i.dataPath(n), b); err != nil {
			return err
		}
	}
	return nil
}
