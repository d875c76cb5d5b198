package gather

import (
	"context"

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
		d.KeptBytes += uint64(k.Size())
	}
	return d
}
