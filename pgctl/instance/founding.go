package instance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Founding is how far the making of a new cluster has come. It stands on disk from the end of initdb, or of the program that stands in for it, until
// the cluster has its roles and post_bootstrap is done, so that an agent that was killed in between finishes what it began.
type Founding string

const (
	// FoundingNone says that nothing is left to do: the cluster is made, or was not made here.
	FoundingNone Founding = ""
	// FoundingMade says that the folder is whole, and that nobody was to start PostgreSQL on it yet.
	FoundingMade Founding = "made"
	// FoundingOpened says that PostgreSQL may have accepted writes; roles are missing.
	FoundingOpened Founding = "opened"
	// FoundingPostInit says that post_bootstrap was begun: it may have done half of its work.
	FoundingPostInit Founding = "post_bootstrap"
)

const foundingFile = "founding"

// Founding reads how far it has come.
func (i *Instance) Founding() (Founding, error) {
	b, err := os.ReadFile(i.statePath(foundingFile))
	if errors.Is(err, fs.ErrNotExist) {
		return FoundingNone, nil
	}
	if err != nil {
		return FoundingNone, err
	}
	var f struct{ Stage Founding }
	if err := json.Unmarshal(b, &f); err != nil {
		return FoundingNone, fmt.Errorf("%s: %w", i.statePath(foundingFile), err)
	}
	return f.Stage, nil
}

// SetFounding writes it, before what it says becomes true. FoundingNone ends it.
func (i *Instance) SetFounding(f Founding) error {
	if f == FoundingNone {
		return removeFile(i.statePath(foundingFile))
	}
	b, err := json.Marshal(struct {
		Stage Founding `json:"stage"`
	}{f})
	if err != nil {
		return err
	}
	return i.writeFile(i.statePath(foundingFile), b)
}

// ResumeFounding is called at the start of an agent. A new cluster on which nobody can have written is marked as half made, and is made again:
// what its recovery was to be given, a point in time for one, was known to the former agent only. True: the cluster may have been opened, and
// still lacks its roles, or what post_bootstrap does.
func (i *Instance) ResumeFounding(ctx context.Context) (unfinished bool, err error) {
	stage, err := i.Founding()
	if err != nil || stage == FoundingNone {
		return false, err
	}
	f := i.Inspect(ctx)
	switch {
	case f.Marker != nil || f.Empty: // half made as it is
		return false, i.SetFounding(FoundingNone)
	case f.PID != 0 || f.Control == nil:
		return true, nil
	case exists(i.dataPath(recoverySignal)), stage == FoundingMade && !exists(i.dataPath(optsFile)):
		// PostgreSQL removes recovery.signal when it begins to accept writes, and writes its options when it is started.
		i.log.Warn("a new cluster was left half made and is made again: nothing was written to it")
		if err := i.markContent(markInitdb, *f.Control); err != nil {
			return false, err
		}
		return false, i.SetFounding(FoundingNone)
	}
	return true, nil
}
