package instance

import (
	"context"
	"fmt"
)

// Look is Inspect for a folder that nobody has taken charge of: it makes and locks nothing, and needs no supervisor. Of an empty folder it
// says ErrNoBinaries when the programs to fill it with are missing.
func Look(ctx context.Context, opt Options) (Folder, error) {
	opt.Supervisor = nobody{}
	if err := opt.setDefaults(); err != nil {
		return Folder{}, fmt.Errorf("instance: %w", err)
	}
	m, err := newMetrics(nil)
	if err != nil {
		return Folder{}, err
	}
	i := &Instance{opt: opt, log: opt.Logger, metrics: m, dropped: map[string]string{}}
	i.set.Store(opt.settings())
	f := i.Inspect(ctx)
	if f.Empty {
		if _, _, err := i.tools(ctx); err != nil {
			f.Err = err
		}
	}
	return f, nil
}

// nobody supervises nothing.
type nobody struct{ Supervisor }
