package instance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// failedSuffix is Patroni's (Postgresql.move_data_directory).
const failedSuffix = ".failed"

// DiscardFailed puts the data folder of a bootstrap that has failed under another name, so that somebody can look at it and nobody takes it for a
// cluster. An earlier one of that name stays. Where the folder cannot be renamed, a mount point, it is marked as half made: the next
// bootstrap empties it, unless somebody has worked on it meanwhile.
func (i *Instance) DiscardFailed(ctx context.Context) (err error) {
	done, err := i.begin("discard")
	if err != nil {
		return err
	}
	defer done(&err)
	if pid, err := i.opt.Supervisor.Running(ctx); err != nil || pid != 0 {
		return orError(err, ErrRunning)
	}
	to := i.opt.DataDir + failedSuffix
	if exists(to) { // it may be somebody's only copy: Patroni puts folders aside by this name, too
		to += "-" + time.Now().UTC().Format(stamp)
	}
	switch err := os.Rename(i.opt.DataDir, to); {
	case err == nil:
		i.log.Warn("the folder of the failed bootstrap is kept under another name", "kept", to)
		return errors.Join(syncDir(filepath.Dir(to)), i.unmark(), i.SetFounding(FoundingNone))
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EXDEV):
		// Until the next bootstrap empties it somebody may repair it by hand, and use it: the marker tells this state of it from any later one.
		c, err := i.ControlData(ctx)
		if err != nil {
			i.log.Warn("the folder of the failed bootstrap has no control data", "err", err)
		}
		return errors.Join(i.markContent(markInitdb, c), i.SetFounding(FoundingNone))
	default:
		return err
	}
}

// LocalConninfo is how a program of the user's reaches this server as the superuser; the password is in the password file.
func (i *Instance) LocalConninfo() string {
	port := i.Port(i.life)
	c := postgres.Conninfo{}.With("host", i.settings().ConnectHost).With("port", strconv.Itoa(port)).With("user", i.accounts().Superuser.User).
		With("dbname", i.settings().Database)
	for _, s := range i.accounts().Superuser.Extra {
		c = c.With(s.Name, s.Value)
	}
	return c.String()
}
