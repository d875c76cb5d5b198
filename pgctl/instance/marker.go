package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"quorate/pgctl/postgres"
)

// Marker names an operation that makes the data folder unusable while it runs.
type Marker struct {
	Operation string    `json:"operation"` // initdb, clone, rewind, recovery
	Since     time.Time `json:"since"`
	// System and Checkpoint are the control data of a whole cluster that was given up where it lies; empty for a folder that was half made.
	System     string       `json:"system,omitempty"`
	Checkpoint postgres.LSN `json:"checkpoint,omitempty"`
}

// emptiable says whether the marker stands for a folder that the next copy may empty.
func (m *Marker) emptiable() bool {
	return m != nil && (m.Operation == markInitdb || m.Operation == markClone)
}

// used says that somebody has worked on a folder after its marker was set: it may hold the only copy of what was written since, and is no
// longer the agent's to remove. PostgreSQL writes its options at each start, and a copy that is made by hand does not bring them along
// (manual, section 25.3.4); of a cluster that was given up whole the control file tells.
func (i *Instance) used(ctx context.Context, m *Marker) bool {
	if m.System != "" {
		c, err := i.ControlData(ctx)
		if err != nil { // it cannot be told: only a folder without the file is surely no database
			return exists(i.dataPath("global", "pg_control"))
		}
		return c.SystemID != m.System || c.Checkpoint != m.Checkpoint
	}
	fi, err := os.Stat(i.dataPath(optsFile))
	return err == nil && fi.ModTime().After(m.Since) && exists(i.dataPath("global", "pg_control"))
}

const optsFile = "postmaster.opts"

// The operations that a marker may name.
const (
	markInitdb   = "initdb"
	markClone    = "clone"
	markRewind   = "rewind"
	markRecovery = "recovery" // single-user crash recovery: the folder is sound, only standby.signal lies aside
)

// remedy is what has to be done about a folder with this marker.
func (m Marker) remedy() string {
	switch m.Operation {
	case markRecovery:
		return "it is taken up again by itself"
	case markRewind:
		return "the folder is half of two histories: clone it again"
	}
	return "the folder is half a copy: it is removed and made again"
}

const markerFile = "operation"

// mark puts the marker on disk.
func (i *Instance) mark(op string) error {
	return i.writeMarker(Marker{Operation: op, Since: time.Now().UTC()})
}

// markContent is mark for a whole cluster at rest.
func (i *Instance) markContent(op string, c postgres.ControlData) error {
	return i.writeMarker(Marker{Operation: op, Since: time.Now().UTC(), System: c.SystemID, Checkpoint: c.Checkpoint})
}

func (i *Instance) writeMarker(m Marker) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return i.writeFile(i.statePath(markerFile), b)
}

func (i *Instance) unmark() error { return removeFile(i.statePath(markerFile)) }

// marker reads the marker, nil when there is none. One that cannot be read counts as one of the worst kind.
func (i *Instance) marker() (*Marker, error) {
	b, err := os.ReadFile(i.statePath(markerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var m Marker
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", i.statePath(markerFile), err)
	}
	return &m, nil
}
