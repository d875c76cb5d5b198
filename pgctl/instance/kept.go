package instance

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Kept is something kept aside, with the report that was written beside it.
type Kept struct {
	Diverged
	// Report is nil when there is none, or when it cannot be read (then Err says why).
	Report *LossReport
	Err    error
}

// ListKept finds what was kept aside by rewinds and new copies of a data folder that an agent may be using meanwhile. It touches nothing.
func ListKept(opt Options) ([]Kept, error) {
	i, err := beside(opt)
	if err != nil {
		return nil, err
	}
	folders, err := i.DivergedFolders()
	if err != nil {
		return nil, err
	}
	logs, err := i.DivergedLogs()
	if err != nil {
		return nil, err
	}
	var out []Kept
	for _, d := range append(folders, logs...) {
		out = append(out, withReport(d))
	}
	slices.SortStableFunc(out, func(a, b Kept) int { return a.At.Compare(b.At) })
	return out, nil
}

// RemoveKept removes what ListKept named, by the last element of its path.
func RemoveKept(opt Options, name string) error {
	i, err := beside(opt)
	if err != nil {
		return err
	}
	return i.RemoveDiverged(name)
}

// beside is an Instance that only looks.
func beside(opt Options) (*Instance, error) {
	opt.Supervisor = nobody{}
	if err := opt.setDefaults(); err != nil {
		return nil, err
	}
	return &Instance{opt: opt, log: opt.Logger}, nil
}

func withReport(d Diverged) Kept {
	name := reportFile
	if d.Whole {
		name = "quorate." + reportFile
	}
	k := Kept{Diverged: d}
	b, err := os.ReadFile(filepath.Join(d.Path, name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k
	case err == nil:
		k.Report = new(LossReport)
		if err = json.Unmarshal(b, k.Report); err != nil {
			k.Report = nil
		}
	}
	k.Err = err
	return k
}

// Size is how many bytes its files have.
func (k Kept) Size() (sum int64) {
	_ = filepath.WalkDir(k.Path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil
		}
		if fi, err := e.Info(); err == nil {
			sum += fi.Size()
		}
		return nil
	})
	return sum
}
