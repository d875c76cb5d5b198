package instance

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"quorate/pgctl/postgres"
)

// StopMode is how PostgreSQL is stopped (manual, section 18.5).
type StopMode string

// The modes, by rising haste.
const (
	StopSmart     StopMode = "smart"     // waits for all sessions to end
	StopFast      StopMode = "fast"      // ends the sessions; a primary's standbys get all of its log
	StopImmediate StopMode = "immediate" // like a crash: recovery at the next start
)

var stopSignals = map[StopMode]syscall.Signal{StopSmart: syscall.SIGTERM, StopFast: syscall.SIGINT, StopImmediate: syscall.SIGQUIT}

// StopOptions say how to stop.
type StopOptions struct {
	Mode StopMode // empty: fast
	// Checkpoint asks for one before sessions are ended, so that the shutdown's own is short.
	Checkpoint bool
	// Logins is how long logins that are under way may take to come to their end before a fast shutdown begins.
	Logins time.Duration
	// Timeout is how long the mode may take before it is followed by an immediate shutdown; 0: as long as the context lasts.
	Timeout time.Duration
}

// immediateWait is how long an immediate shutdown may take: PostgreSQL itself kills its children after five seconds.
const immediateWait = 10 * time.Second

// Stop stops PostgreSQL and returns when all of its processes have gone. That there is none is no error. It may interrupt nothing:
// end the context of a start that is still waiting before. ErrNotStopped: not even the immediate shutdown ended it.
func (i *Instance) Stop(ctx context.Context, o StopOptions) (err error) {
	done, err := i.begin("stop")
	if err != nil {
		return err
	}
	defer done(&err)
	return i.stop(ctx, o)
}

func (i *Instance) stop(ctx context.Context, o StopOptions) error {
	if o.Mode == "" {
		o.Mode = StopFast
	}
	sig, ok := stopSignals[o.Mode]
	if !ok {
		return fmt.Errorf("%q is no way to stop", o.Mode)
	}
	pid, err := i.opt.Supervisor.Running(ctx)
	if err != nil || pid == 0 {
		return err
	}
	gone := i.watch(pid)
	if o.Checkpoint && o.Mode != StopImmediate {
		i.checkpointFirst(ctx, o.Timeout)
	}
	if o.Logins > 0 && o.Mode == StopFast {
		i.awaitLogins(ctx, pid, o.Logins)
	}
	if err := i.signalAndWait(ctx, sig, gone, o.Timeout); err == nil || o.Mode == StopImmediate || ctx.Err() != nil {
		return err
	}
	i.log.Warn("it does not stop in time, an immediate shutdown follows", "mode", o.Mode, "timeout", o.Timeout)
	if err := i.signalAndWait(ctx, syscall.SIGQUIT, gone, immediateWait); err != nil {
		return err
	}
	return nil
}

// checkpointFirst makes a checkpoint while sessions go on, in no more than half of the time for the stop: what is left undone by then the
// shutdown does.
func (i *Instance) checkpointFirst(ctx context.Context, timeout time.Duration) {
	if timeout > 0 {
		bounded, cancel := context.WithTimeout(ctx, timeout/2)
		defer cancel()
		ctx = bounded
	}
	if err := i.Checkpoint(ctx); err != nil {
		i.log.Warn("checkpoint before the stop failed", "err", err)
	}
}

func (i *Instance) signalAndWait(ctx context.Context, sig syscall.Signal, gone <-chan struct{}, timeout time.Duration) error {
	if timeout > 0 {
		bounded, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx = bounded
	}
	select {
	case <-gone:
		return nil
	default:
	}
	if err := i.opt.Supervisor.Signal(ctx, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotStopped, context.Cause(ctx))
	}
}

// Restart stops PostgreSQL and starts it in the role that it has, with the names and the upstream that it has.
func (i *Instance) Restart(ctx context.Context, o StopOptions) (err error) {
	done, err := i.begin("restart")
	if err != nil {
		return err
	}
	defer done(&err)
	standby, err := i.inRecovery(ctx)
	if err != nil {
		return err
	}
	up, names := i.Upstream(), i.SyncNames()
	if err := i.stop(ctx, o); err != nil {
		return err
	}
	if standby {
		return i.startStandby(ctx, up)
	}
	return i.startPrimary(ctx, names)
}

func (i *Instance) inRecovery(ctx context.Context) (bool, error) {
	s, err := i.local(ctx, appName, nil)
	if err != nil {
		return false, err
	}
	defer s.close()
	return s.inRecovery(ctx)
}

func (s *session) inRecovery(ctx context.Context) (bool, error) {
	row, err := s.one(ctx, "SELECT pg_catalog.pg_is_in_recovery()")
	if err != nil {
		return false, err
	}
	in, _ := postgres.ParseBool(row[0])
	return in, nil
}

// appName is the application name of connections that do something; the Monitor has its own.
const appName = "Quorate"

// Checkpoint makes a checkpoint (a restart point on a standby) and returns when it is done.
func (i *Instance) Checkpoint(ctx context.Context) error {
	s, err := i.local(ctx, appName, map[string]string{"statement_timeout": "0"})
	if err != nil {
		return err
	}
	defer s.close()
	return s.exec(ctx, "CHECKPOINT")
}
