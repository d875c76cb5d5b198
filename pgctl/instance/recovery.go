package instance

import (
	"context"
	"errors"
	"fmt"

	"quorate/pgctl/postgres"
)

// finishRecoveryMarker undoes a single-user recovery that was broken off: the folder is sound, only the signal was aside.
func (i *Instance) finishRecoveryMarker() error {
	m, err := i.marker()
	if err != nil || m == nil {
		return err
	}
	if m.Operation != markRecovery {
		return fmt.Errorf("%w: %s; %s", ErrUnfinished, m.Operation, m.remedy())
	}
	return i.unmark()
}

// RecoverCrash brings a folder whose server was not stopped in order to a clean end, by PostgreSQL in single-user mode: it replays the
// local log, takes no connection, and stops. pg_rewind wants it so. It does nothing to a clean folder.
func (i *Instance) RecoverCrash(ctx context.Context) (err error) {
	done, err := i.begin("crash recovery")
	if err != nil {
		return err
	}
	defer done(&err)
	c, err := i.startable(ctx)
	if err != nil {
		return err
	}
	return i.recoverCrash(ctx, c)
}

func (i *Instance) recoverCrash(ctx context.Context, c postgres.ControlData) error {
	if c.State.Clean() {
		return nil
	}
	if exists(i.dataPath(backupLabel)) || c.BackupStart != 0 {
		return fmt.Errorf("%w: %s is a base backup whose recovery was broken off: start it as a standby, or clone it again", ErrRewindImpossible, i.opt.DataDir)
	}
	program, err := i.program(ctx, "postgres")
	if err != nil {
		return err
	}
	if err := i.aside(markRecovery); err != nil {
		return err
	}
	i.progress("rewind", "crash recovery", 0, 0)
	// Archiving is held back: the log to be archived stays marked, for whoever archives it later.
	_, err = i.run(ctx, command{
		path: program,
		args: []string{"--single", "-D", i.opt.DataDir, "--config_file=" + i.confPath(confFile), "-c", "archive_command=false", "-c", "synchronous_standby_names=", "template1"},
		line: i.logLine("postgres --single"),
	})
	return errors.Join(err, i.putBack())
}

// aside takes the signals away behind a marker, for a program that refuses them.
func (i *Instance) aside(op string) error {
	if err := i.mark(op); err != nil {
		return err
	}
	if err := removeFile(i.dataPath(recoverySignal)); err != nil {
		return err
	}
	return i.notAtRest()
}

// putBack undoes aside, when the folder is whole.
func (i *Instance) putBack() error {
	if err := i.atRest(); err != nil {
		return err
	}
	return i.unmark()
}
