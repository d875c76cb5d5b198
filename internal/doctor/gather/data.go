package gather

import (
	"context"
	"io/fs"
	"path/filepath"

	"quorate/internal/doctor"
	"quorate/internal/node"
)

// data looks at the local data folder, and at what is kept aside beside it.
func (g *gatherer) data(ctx context.Context) (d doctor.Data) {
	c := g.Config
	if !c.Roles.Postgres {
		return d
	}
	d.Path = c.PostgreSQL.DataDir
	f, err := node.Folder(ctx, c)
	if err != nil {
		g.missed("the data folder was not looked at: %v", err)
		return d
	}
	d.Looked, d.Empty, d.Major, d.StandbySignal, d.Run = true, f.Empty, f.Major, f.Standby, f.PID != 0
	if f.Err != nil {
		d.Problem = f.Err.Error()
	}
	if f.Control != nil {
		d.Control, d.Checksums, d.Hints, d.SystemID = true, f.Control.Checksums, f.Control.WALLogHints, f.Control.SystemID
		d.Programs = f.Major
	}
	kept, err := node.Kept(c)
	if err != nil {
		g.missed("what is kept aside was not looked at: %v", err)
	}
	for _, k := range kept {
		if k.Whole {
			d.Kept++
		} else {
			d.KeptLogs++
		}
		d.KeptBytes += folderSize(k.Path)
	}
	return d
}

// folderSize is the sum of the files in it.
func folderSize(path string) (sum uint64) {
	_ = filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if fi, err := e.Info(); err == nil {
				sum += uint64(fi.Size())
			}
		}
		return nil
	})
	return sum
}
