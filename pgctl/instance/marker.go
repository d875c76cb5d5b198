package instance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Marker names an operation that makes the data folder unusable while it runs.
type Marker struct {
	Operation string    `json:"operation"` // initdb, clone, rewind, recovery
	Since     time.Time `json:"since"`     // for people
}

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
	b, err := json.Marshal(Marker{Operation: op, Since: time.Now().UTC()})
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
