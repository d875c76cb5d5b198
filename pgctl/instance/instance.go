package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// Instance is one PostgreSQL. All methods may be called from several goroutines.
type Instance struct {
	opt     Options
	log     *slog.Logger
	metrics *metrics
	lock    *os.File // holds the lock on the state folder

	// life ends with Close; what goes on behind an operation's back hangs on it.
	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

	acc atomic.Pointer[rotation]
	set atomic.Pointer[Settings]
	at  atomic.Pointer[place] // of the postmaster that was last seen to run

	opMu sync.Mutex
	op   string // the operation under way, "" for none

	// confMu guards the configuration and the files made from it.
	confMu   sync.Mutex
	conf     Config
	upstream postgres.Upstream
	names    postgres.SyncNames
	role     role
	raised   []postgres.Correction
	told     []postgres.Correction // what the log has of the newest configuration
	dropped  map[string]string     // parameters that PostgreSQL refused, with its words

	restoring *restoring // nil but for a bootstrap from a copy
	cut       bool       // the standby takes nothing in, from the archive neither
	closed    bool       // the archive is: the standby started while that held a timeline which its log cannot follow
	walDir    string     // where pg_wal pointed to before it was wiped

	bins binaries

	controlMu sync.Mutex
	control   controlSeen

	stateMu       sync.Mutex
	watched       int           // the postmaster that a goroutine waits for
	gone          chan struct{} // closed at its end
	lastExit      ExitStatus
	checkpointing bool
}

// role is how the postmaster was started, which decides its parameters.
type role int

const (
	roleStandby role = iota
	rolePrimary
)

// New takes charge of the PostgreSQL that opt names. It creates and locks the state folder, starts nothing, and leaves the data folder
// as it is. Errors: ErrLocked, and whatever is wrong with opt.
func New(opt Options) (*Instance, error) {
	if err := opt.setDefaults(); err != nil {
		return nil, fmt.Errorf("instance: %w", err)
	}
	m, err := newMetrics(opt.Metrics)
	if err != nil {
		return nil, err
	}
	i := &Instance{opt: opt, log: opt.Logger.With("component", "postgres"), metrics: m, dropped: map[string]string{}}
	i.set.Store(opt.settings())
	i.acc.Store(&rotation{now: Accounts{Superuser: opt.Superuser, Replication: opt.Replication, Rewind: opt.Rewind}.withDefaults()})
	i.life, i.end = context.WithCancel(context.Background())
	if err := i.lockState(); err != nil {
		i.end()
		return nil, err
	}
	i.loadState()
	return i, nil
}

// Close ends what the agent does for the instance: PostgreSQL itself goes on.
func (i *Instance) Close() error {
	i.end()
	i.wg.Wait()
	return i.lock.Close()
}

func (i *Instance) lockState() error {
	if err := i.mkdir(i.opt.StateDir); err != nil {
		return err
	}
	f, err := os.OpenFile(i.statePath("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", f.Name(), ErrLocked)
		}
		return fmt.Errorf("locking %s: %w", f.Name(), err)
	}
	i.lock = f
	return nil
}

func (i *Instance) statePath(elem ...string) string {
	return filepath.Join(append([]string{i.opt.StateDir}, elem...)...)
}

func (i *Instance) dataPath(elem ...string) string {
	return filepath.Join(append([]string{i.opt.DataDir}, elem...)...)
}

// begin claims the instance for an operation; the returned function gives it back.
func (i *Instance) begin(op string) (done func(*error), err error) {
	i.opMu.Lock()
	defer i.opMu.Unlock()
	if i.op != "" {
		return nil, fmt.Errorf("%s: %w: %s", op, ErrBusy, i.op)
	}
	i.op = op
	i.log.Info("operation begins", "op", op)
	return func(err *error) {
		i.opMu.Lock()
		i.op = ""
		i.opMu.Unlock()
		i.metrics.operation(op, *err)
		if *err != nil {
			*err = fmt.Errorf("%s: %w", op, *err)
			i.log.Debug("operation failed", "op", op, "err", *err) // whoever asked for it says so
			return
		}
		i.log.Info("operation done", "op", op)
	}, nil
}

// Operation names the operation under way, "" when there is none.
func (i *Instance) Operation() string {
	i.opMu.Lock()
	defer i.opMu.Unlock()
	return i.op
}

func (i *Instance) progress(op, step string, done, total int64) {
	if i.opt.OnProgress != nil {
		i.opt.OnProgress(Progress{Operation: op, Step: step, Done: done, Total: total})
	}
}
