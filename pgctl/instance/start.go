package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"quorate/pgctl/postgres"
)

// startPoll is how often a start or a promotion looks whether it is there.
const startPoll = 10 * time.Millisecond

// StartStandby starts PostgreSQL read-only on a sound folder at rest, streaming from up, or from nobody when up has no host. An upstream
// without a user gets the account of replication. It
// returns when connections are accepted. ErrNotReady says that the context ended before that: the postmaster lives on, since a standby
// may wait long for what it needs to be consistent.
func (i *Instance) StartStandby(ctx context.Context, up postgres.Upstream) (err error) {
	done, err := i.begin("start standby")
	if err != nil {
		return err
	}
	defer done(&err)
	return i.startStandby(ctx, up)
}

func (i *Instance) startStandby(ctx context.Context, up postgres.Upstream) error {
	control, err := i.startable(ctx)
	if err != nil {
		return err
	}
	if err := i.atRest(); err != nil {
		return err
	}
	i.setUpstream(up)
	i.setNames(postgres.SyncNames{})
	if err := i.shelveHistories(ctx); err != nil {
		return err
	}
	reopen, err := i.closeArchive(ctx)
	if err != nil {
		return err
	}
	err = i.start(ctx, roleStandby, control)
	switch {
	case !reopen:
		return err
	case errors.Is(err, ErrNotReady):
		i.wg.Go(i.openBehind)
		return err
	case err != nil:
		return err
	}
	return i.openArchive(ctx)
}

// openBehind opens the archive to a standby whose start nobody waits for any more.
func (i *Instance) openBehind() {
	if err := i.AwaitReady(i.life); err != nil {
		return // it has ended, and the next start asks again
	}
	if err := i.openArchive(i.life); err != nil {
		i.log.Warn("the archive stays closed to this standby until it follows a leader", "err", err)
	}
}

// StartPrimary starts PostgreSQL for writes on a sound folder at rest, with names as synchronous_standby_names from the first moment. It
// returns when writes are accepted, after whatever recovery is needed. ErrNotReady says that the context ended before: the
// postmaster is still recovering, and Stop ends it.
func (i *Instance) StartPrimary(ctx context.Context, names postgres.SyncNames) (err error) {
	done, err := i.begin("start primary")
	if err != nil {
		return err
	}
	defer done(&err)
	return i.startPrimary(ctx, names)
}

func (i *Instance) startPrimary(ctx context.Context, names postgres.SyncNames) error {
	control, err := i.startable(ctx)
	if err != nil {
		return err
	}
	i.setUpstream(postgres.Upstream{})
	i.setNames(names)
	if err := i.notAtRest(); err != nil {
		return err
	}
	restoring := exists(i.dataPath(recoverySignal))
	err = i.start(ctx, rolePrimary, control)
	if err == nil && restoring {
		err = i.awaitPrimary(ctx)
	}
	if errors.Is(err, ErrNotReady) {
		i.wg.Go(i.readyBehind) // the start may not have looked for the signal yet
		return err
	}
	if err == nil {
		err = i.restored(ctx)
	}
	return errors.Join(err, i.atRest())
}

// readyBehind does what is left to do for a primary whose start nobody waits for any more.
func (i *Instance) readyBehind() {
	err := i.AwaitReady(i.life)
	if err == nil {
		err = i.awaitPrimary(i.life)
	}
	if err != nil {
		return // it has ended, and the folder is at rest
	}
	i.log.Info("the primary has become ready")
	if err := i.restored(i.life); err != nil {
		i.log.Warn("the settings of the recovery stay until the next reload", "err", err)
	}
}

// awaitPrimary waits for the end of a recovery during which connections are accepted already.
func (i *Instance) awaitPrimary(ctx context.Context) error {
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return err
	}
	defer s.close()
	err = s.poll(ctx, func() (bool, error) {
		standby, err := s.inRecovery(ctx)
		return !standby, err
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotReady, err)
	}
	return err
}

func (i *Instance) setUpstream(up postgres.Upstream) {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	i.upstream, i.cut, i.closed = i.withAccount(up), false, false
}

func (i *Instance) setNames(n postgres.SyncNames) {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	i.names = n
}

// start starts the postmaster and waits until it is ready.
func (i *Instance) start(ctx context.Context, r role, control postgres.ControlData) error {
	if err := i.finishRecoveryMarker(); err != nil {
		return err
	}
	if err := removeFile(i.dataPath(promoteSignal)); err != nil {
		return err // left by a promotion that came too late, it would promote the standby that starts now
	}
	if _, err := i.PassFile(); err != nil {
		return err
	}
	if err := i.writeConfig(ctx); err != nil {
		return err
	}
	if err := i.mkdirSocket(); err != nil {
		return err
	}
	spec, err := i.spec(ctx, r, control)
	if err != nil {
		return err
	}
	logStart := fileSize(spec.LogFile)
	pid, err := i.opt.Supervisor.Start(ctx, spec)
	if err != nil {
		return err
	}
	i.log.Info("postmaster started", "pid", pid, "standby", spec.Standby)
	return i.awaitReady(ctx, pid, logStart)
}

// spec is how the postmaster is started.
func (i *Instance) spec(ctx context.Context, r role, c postgres.ControlData) (Spec, error) {
	dir, v, err := i.tools(ctx)
	if err != nil {
		return Spec{}, err
	}
	i.confMu.Lock()
	defer i.confMu.Unlock()
	i.role = r
	args, raised := i.args(v, r, c)
	i.raised = raised
	for _, c := range raised {
		i.log.Warn("raised for the start of a standby", "parameter", c.Name, "from", c.Was, "to", c.Is, "reason", c.Reason)
	}
	s := Spec{
		Path: i.inDir(dir, "postgres"), Args: args, Env: safeEnv(), Dir: i.opt.DataDir,
		LogFile: i.LogFile(), UID: -1, GID: -1, Standby: r == roleStandby,
	}
	if os.Geteuid() == 0 {
		s.UID, s.GID = i.opt.UID, i.opt.GID
	}
	return s, nil
}

// LogFile is where the postmaster's standard output and error go: PostgreSQL's log, until its own logging collector takes over.
func (i *Instance) LogFile() string { return i.statePath("postgresql.log") }

// mkdirSocket makes the folder of the socket when it is missing: /run is empty after a boot.
func (i *Instance) mkdirSocket() error {
	if !strings.HasPrefix(i.opt.SocketDir, "/") || exists(i.opt.SocketDir) {
		return nil
	}
	if err := os.MkdirAll(i.opt.SocketDir, 0o755); err != nil {
		return err
	}
	return i.own(i.opt.SocketDir)
}

func fileSize(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// awaitReady waits for the line that the postmaster writes into its pid file when it accepts connections.
func (i *Instance) awaitReady(ctx context.Context, pid int, logStart int64) error {
	gone := i.watch(pid)
	t := time.NewTicker(startPoll)
	defer t.Stop()
	for {
		if p, err := i.readPIDFile(); err == nil && p.PID == pid && p.Ready() {
			return nil
		}
		select {
		case <-gone:
			words := strings.Join(lastLines(i.LogFile(), logStart), " | ")
			return fmt.Errorf("%w (%s): %s", ErrExited, i.LastExit(), words)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotReady, context.Cause(ctx))
		case <-t.C:
		}
	}
}

// AwaitReady waits until the postmaster that runs accepts connections: what is left of a start that returned ErrNotReady.
func (i *Instance) AwaitReady(ctx context.Context) error {
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil {
		return err
	}
	if pid == 0 {
		return ErrNotRunning
	}
	if err := i.awaitReady(ctx, pid, fileSize(i.LogFile())); err != nil {
		return err
	}
	return i.atRest()
}
