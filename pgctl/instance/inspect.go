package instance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"quorate/pgctl/postgres"
)

// Folder is what Inspect found.
type Folder struct {
	// Err is nil for a folder that PostgreSQL can be started on. Otherwise it is, wrapped with the remedy, ErrNoData, ErrForeign,
	// ErrIncomplete, ErrWrongVersion, ErrWrongOwner, ErrPermissions, ErrUnfinished or ErrNoBinaries.
	Err error
	// Empty says that the folder is missing or empty, so that it may be filled.
	Empty bool
	Major int
	// Control is the control data, nil when it could not be read.
	Control *postgres.ControlData
	// PID is the postmaster that runs on the folder, 0 for none. Whoever started it, it is really there.
	PID int
	// Marker is an operation that was broken off, or is under way.
	Marker *Marker
	// Standby says that standby.signal lies in the folder, Recovery recovery.signal, Backup that it is a base backup which has not
	// been recovered yet.
	Standby, Recovery, Backup bool
}

// Inspect looks at the data folder and touches nothing.
func (i *Instance) Inspect(ctx context.Context) Folder {
	var f Folder
	f.Marker, f.Err = i.marker()
	if f.Err != nil {
		return f
	}
	if f.Err = i.inspectShape(&f); f.Err != nil {
		if f.Marker.emptiable() && !f.Empty && i.used(ctx, f.Marker) {
			f.Err = fmt.Errorf("%s: %w; to keep what it holds remove %s, to have it made again empty the folder", i.opt.DataDir, ErrUsed, i.statePath(markerFile))
		}
		return f
	}
	f.Standby, f.Recovery, f.Backup = exists(i.dataPath(standbySignal)), exists(i.dataPath(recoverySignal)), exists(i.dataPath(backupLabel))
	f.PID = i.postmasterPID()
	if _, _, f.Err = i.tools(ctx); f.Err != nil {
		return f
	}
	if f.Err = i.inspectVersion(&f); f.Err != nil {
		return f
	}
	c, err := i.ControlData(ctx)
	if err != nil {
		f.Err = fmt.Errorf("%w: %w: clone it again (`quorate reinit`), or restore it from a backup", ErrIncomplete, err)
		return f
	}
	f.Control = &c
	return f
}

// inspectShape judges the folder by the files that are there, and the marker.
func (i *Instance) inspectShape(f *Folder) error {
	dir := i.opt.DataDir
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		f.Empty = true
		return fmt.Errorf("%s: %w", dir, ErrNoData)
	}
	if err != nil {
		return err
	}
	f.Major, err = i.folderMajor()
	if m := f.Marker; m != nil && m.Operation != markRecovery {
		return fmt.Errorf("%s: %w: %s since %s; %s", dir, ErrUnfinished, m.Operation, m.Since.Format(time.RFC3339), m.remedy())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w (%s): give data_dir a folder of its own", dir, ErrForeign, someNames(entries))
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", i.dataPath("PG_VERSION"), ErrForeign, err)
	}
	if err := i.inspectOwner(); err != nil {
		return err
	}
	for _, need := range []string{"global/pg_control", "base", "pg_wal"} {
		if !exists(i.dataPath(need)) {
			return fmt.Errorf("%s: %w: it has no %s; clone it again (`quorate reinit`), or restore it from a backup", dir, ErrIncomplete, need)
		}
	}
	return nil
}

func someNames(entries []fs.DirEntry) string {
	var names []string
	for _, e := range entries[:min(len(entries), 3)] {
		names = append(names, e.Name())
	}
	return strings.Join(names, ", ")
}

// inspectOwner makes PostgreSQL's own check (checkDataDir) beforehand, for a message with the remedy.
func (i *Instance) inspectOwner() error {
	fi, err := os.Stat(i.opt.DataDir)
	if err != nil {
		return err
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); ok && int(st.Uid) != i.opt.UID {
		return fmt.Errorf("%s: %w: it is user %d's and PostgreSQL runs as %d; chown -R it, or run the agent as its owner", i.opt.DataDir, ErrWrongOwner, st.Uid, i.opt.UID)
	}
	if fi.Mode().Perm()&0o027 != 0 {
		return fmt.Errorf("%s: %w: its mode is %04o; chmod it to 0700 or 0750", i.opt.DataDir, ErrPermissions, fi.Mode().Perm())
	}
	return nil
}

func (i *Instance) inspectVersion(f *Folder) error {
	i.bins.mu.Lock()
	defer i.bins.mu.Unlock()
	if have := i.bins.version.Major(); have != f.Major {
		return fmt.Errorf("%s: %w: the folder is of %d, the programs in %s are of %d; set postgresql.bin_dir to those of %d, or upgrade the data by pg_upgrade",
			i.opt.DataDir, ErrWrongVersion, f.Major, i.bins.dir, have, f.Major)
	}
	return nil
}

// ControlData reads the control file by pg_controldata, whose answer is kept for as long as the file stays as it is: a start asks a dozen times.
func (i *Instance) ControlData(ctx context.Context) (postgres.ControlData, error) {
	file := i.dataPath("global/pg_control")
	before, errBefore := os.ReadFile(file)
	i.controlMu.Lock()
	kept := i.control
	i.controlMu.Unlock()
	if errBefore == nil && kept.of != nil && bytes.Equal(before, kept.of) {
		return kept.data, nil
	}
	program, err := i.program(ctx, "pg_controldata")
	if err != nil {
		return postgres.ControlData{}, err
	}
	out, err := i.output(ctx, command{path: program, args: []string{"-D", i.opt.DataDir}, env: []string{"LC_ALL=C"}})
	if err != nil {
		return postgres.ControlData{}, err
	}
	c, err := postgres.ParseControlData(out)
	if err != nil {
		return c, err
	}
	if after, errAfter := os.ReadFile(file); errBefore == nil && errAfter == nil && bytes.Equal(before, after) {
		i.controlMu.Lock()
		i.control = controlSeen{of: after, data: c}
		i.controlMu.Unlock()
	}
	return c, nil
}

// controlSeen is what pg_controldata said of a control file.
type controlSeen struct {
	of   []byte // the file
	data postgres.ControlData
}

// startable is Inspect for the operations that need a sound folder at rest.
func (i *Instance) startable(ctx context.Context) (postgres.ControlData, error) {
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil {
		return postgres.ControlData{}, err
	}
	f := i.Inspect(ctx)
	switch {
	case f.PID != 0 || pid != 0:
		return postgres.ControlData{}, fmt.Errorf("%w as process %d", ErrRunning, max(f.PID, pid))
	case f.Err != nil:
		return postgres.ControlData{}, f.Err
	}
	return *f.Control, nil
}
