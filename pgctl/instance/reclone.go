package instance

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Keep says what becomes of a data folder that is to be replaced.
type Keep string

// The ways.
const (
	// KeepFolder keeps it whole under another name. It is the rule: pg_rewind has failed, and the folder may hold the only copy of
	// acknowledged commits.
	KeepFolder Keep = "folder"
	// KeepNothing removes it: an operator has asked for a new copy (`quorate reinit`), or its log is known to lie within the source's history.
	KeepNothing Keep = "nothing"
)

// Bounds of what is kept by itself.
const (
	// KeepFree is the share of the file system, in percent, that must be free for a folder to be kept: the new copy needs room.
	KeepFree = 20
	// KeepFor is how long a kept folder stands in the way of another one; after that the newer one replaces it.
	KeepFor = 7 * 24 * time.Hour
)

// RecloneOptions say where the new copy comes from and what becomes of the old one.
type RecloneOptions struct {
	Clone CloneOptions
	Keep  Keep // empty: KeepFolder
}

// Reclone replaces the data folder of a stopped server by a new copy. With KeepFolder the old one becomes <data_dir>.diverged-<time>;
// ErrKept says that one from the last seven days is there already, ErrNoSpace that too little of the disk is free, and in both cases
// nothing was touched and an operator has to choose. The report tells what the old folder holds that the source does not, as far
// as it can still be read.
func (i *Instance) Reclone(ctx context.Context, o RecloneOptions) (r LossReport, err error) {
	done, err := i.begin("reclone")
	if err != nil {
		return r, err
	}
	defer done(&err)
	if pid, err := i.opt.Supervisor.Running(ctx); err != nil || pid != 0 {
		return r, orError(err, ErrRunning)
	}
	if pid := i.postmasterPID(); pid != 0 {
		return r, fmt.Errorf("%w as process %d", ErrRunning, pid)
	}
	if err := i.checkSource(ctx, o.Clone); err != nil {
		return r, err // the old folder is all there is as long as nobody has a copy to give
	}
	if r, err = i.replaceFolder(ctx, o); err != nil {
		return r, err
	}
	if err := i.dropSpared(); err != nil {
		return r, err
	}
	return r, i.clone(ctx, o.Clone)
}

// replaceFolder moves the old folder aside or removes it.
func (i *Instance) replaceFolder(ctx context.Context, o RecloneOptions) (r LossReport, err error) {
	f := i.Inspect(ctx)
	if errors.Is(f.Err, ErrUsed) {
		return r, f.Err
	}
	if f.Empty || f.Marker.emptiable() {
		return r, nil
	}
	if f.Major == 0 {
		return r, f.Err // whatever it is, it is not ours to remove
	}
	if o.Keep == KeepNothing {
		if o.Clone.methods()[0].KeepData {
			return r, i.mark(markClone)
		}
		return r, i.markAndWipe()
	}
	r.At = time.Now().UTC()
	if f.Control != nil {
		if w, err := i.CheckWAL(ctx, o.Clone.Host, o.Clone.Port); err == nil {
			if r, err = i.assess(ctx, w, *f.Control); err != nil {
				i.log.Warn("what the old folder holds cannot be counted", "err", err)
			}
		}
	}
	if err := i.moveAside(&r); err != nil {
		return r, err
	}
	if r.Lost() {
		i.lost(r)
	} else {
		i.log.Warn("the data folder is kept under another name", "kept", r.Kept)
	}
	return r, nil
}

func (i *Instance) markAndWipe() error {
	if err := i.mark(markClone); err != nil {
		return err
	}
	return i.wipe()
}

// moveAside renames the data folder.
func (i *Instance) moveAside(r *LossReport) error {
	if err := i.roomForDiverged(r.At); err != nil {
		return err
	}
	spaces, err := i.tablespaces()
	if err != nil {
		return err
	}
	if len(spaces) > 0 {
		return fmt.Errorf("%w: it has tablespaces in %v, where the new copy's must go: move the old ones away, or ask for a new copy (`quorate reinit`)", ErrKept, spaces)
	}
	to := i.opt.DataDir + divergedSuffix + r.At.Format(stamp)
	if err := os.Rename(i.opt.DataDir, to); err != nil {
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EXDEV) {
			return fmt.Errorf("%w: %s is a mount point and cannot be renamed: give data_dir a folder below it, or ask for a new copy (`quorate reinit`)", ErrKept, i.opt.DataDir)
		}
		return err
	}
	r.Kept = to
	if err := syncDir(filepath.Dir(to)); err != nil {
		return err
	}
	if err := i.unmark(); err != nil { // a marker of the old folder says nothing about the new one
		return err
	}
	return i.writeReport(filepath.Join(to, "quorate."+reportFile), *r)
}

const divergedSuffix = ".diverged-"

// roomForDiverged refuses to keep a folder when another one is kept or the disk is too full; a kept one whose time is over goes.
func (i *Instance) roomForDiverged(now time.Time) error {
	free, total, err := diskFree(i.opt.DataDir)
	if err != nil {
		return err
	}
	if free*100 < total*KeepFree {
		return fmt.Errorf("%w: %d%% of the file system of %s is free, %d%% are wanted; make space, or ask for a new copy (`quorate reinit`)", ErrNoSpace, free*100/total, i.opt.DataDir, KeepFree)
	}
	kept, err := i.DivergedFolders()
	if err != nil {
		return err
	}
	for _, k := range kept {
		if now.Sub(k.At) < KeepFor {
			return fmt.Errorf("%w: %s; look at it and remove it (`quorate diverged remove`)", ErrKept, k.Path)
		}
		if err := i.RemoveDiverged(filepath.Base(k.Path)); err != nil {
			return err
		}
	}
	return nil
}

// Diverged is something kept aside.
type Diverged struct {
	Path  string
	At    time.Time
	Whole bool // a whole data folder, not only its log
}

// DivergedFolders are the data folders kept aside, oldest first.
func (i *Instance) DivergedFolders() ([]Diverged, error) {
	hits, err := filepath.Glob(i.opt.DataDir + divergedSuffix + "*")
	return datedPaths(hits, i.opt.DataDir+divergedSuffix, true), err
}

// DivergedLogs are the logs kept aside by rewinds, oldest first.
func (i *Instance) DivergedLogs() ([]Diverged, error) {
	dir := i.statePath(divergedDir) + "/"
	hits, err := filepath.Glob(dir + "*")
	return datedPaths(hits, dir, false), err
}

func datedPaths(paths []string, prefix string, whole bool) []Diverged {
	var out []Diverged
	for _, p := range paths {
		if at, err := time.Parse(stamp, strings.TrimPrefix(p, prefix)); err == nil {
			out = append(out, Diverged{Path: p, At: at, Whole: whole})
		}
	}
	return out
}

// RemoveDiverged removes something kept aside, by the last element of its path. It is an operator's word that calls it.
func (i *Instance) RemoveDiverged(name string) error {
	folders, err := i.DivergedFolders()
	if err != nil {
		return err
	}
	logs, err := i.DivergedLogs()
	if err != nil {
		return err
	}
	for _, d := range append(folders, logs...) {
		if filepath.Base(d.Path) == name {
			return os.RemoveAll(d.Path)
		}
	}
	return fmt.Errorf("%s: nothing of that name is kept: %w", name, fs.ErrNotExist)
}
