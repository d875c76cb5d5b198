package instance

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"quorate/pgctl/postgres"
)

// CloneOptions say where to copy a data folder from.
type CloneOptions struct {
	// Methods are tried in order; none: pg_basebackup.
	Methods []Method
	// Host is the server to copy from. Empty: only methods that need none.
	Host string
	Port int
	Name string // this member's name, as the source sees it
	// Slot is a physical replication slot at the source that keeps the log while the copy goes on, "" for none.
	Slot string
	// SystemID is the cluster that the source must be of, "" when there is nothing to compare with.
	SystemID string
}

// Clone copies the data folder of a running server into a missing or empty folder, by pg_basebackup or the methods given, and leaves it at rest, ready for
// StartStandby. A copy that is broken off, by whatever, is never mistaken for a whole one: its marker stands until it is finished.
func (i *Instance) Clone(ctx context.Context, o CloneOptions) (err error) {
	done, err := i.begin("clone")
	if err != nil {
		return err
	}
	defer done(&err)
	return i.clone(ctx, o)
}

func (i *Instance) clone(ctx context.Context, o CloneOptions) error {
	if err := i.checkSource(ctx, o); err != nil {
		return err
	}
	if err := i.prepareEmpty(ctx, markClone, o.methods()[0].KeepData); err != nil {
		return err
	}
	if err := i.fill(ctx, o); err != nil {
		return errors.Join(err, i.discardHalf())
	}
	// The source's own settings come along; writeConfig replaces them, and takes what pg_basebackup or ALTER SYSTEM left out of the way.
	if err := removeFile(i.dataPath(recoverySignal)); err != nil {
		return err
	}
	return i.finishFresh(ctx)
}

// checkSource makes sure that there is a server to copy from, and that it is of the cluster.
func (i *Instance) checkSource(ctx context.Context, o CloneOptions) error {
	if o.Host == "" {
		return nil
	}
	src, err := i.ReadSource(ctx, o.Host, o.Port)
	if err != nil {
		return err
	}
	if o.SystemID != "" && src.SystemID != o.SystemID {
		return fmt.Errorf("%w: %s:%d is of %s, this cluster is %s", ErrNotSameCluster, o.Host, o.Port, src.SystemID, o.SystemID)
	}
	return nil
}

func (i *Instance) baseBackup(ctx context.Context, o CloneOptions) error {
	program, err := i.program(ctx, "pg_basebackup")
	if err != nil {
		return err
	}
	pass, err := i.PassFile()
	if err != nil {
		return err
	}
	args := []string{
		"-D", i.opt.DataDir, "-d", i.toolConninfo(o.Host, o.Port, o.Name, i.accounts().Replication).String(),
		"--wal-method=stream", "--checkpoint=fast", "--progress", "--no-password",
	}
	if o.Slot != "" {
		args = append(args, "--slot="+o.Slot)
	}
	i.confMu.Lock()
	extra := i.conf.BaseBackup
	i.confMu.Unlock()
	args = append(args, i.withWALDir(extra)...)
	_, err = i.run(ctx, command{
		path: program, args: args, env: []string{"PGPASSFILE=" + pass},
		line: i.progressLine("clone", "pg_basebackup"),
	})
	return err
}

// progressLine reports a program's progress and logs what else it says.
func (i *Instance) progressLine(op, tool string) func(string) {
	log := i.logLine(tool)
	return func(l string) {
		if p, ok := postgres.ParseBackupProgress(l); ok {
			i.progress(op, "copy", p.Done, p.Total)
			return
		}
		log(l)
	}
}

// toolConninfo is how PostgreSQL's programs connect to another server. A peer that falls silent must not hold them for long.
func (i *Instance) toolConninfo(host string, port int, app string, a Account) postgres.Conninfo {
	c := postgres.Conninfo{}.With("host", host).With("port", strconv.Itoa(port)).With("user", a.User).
		With("application_name", app).With("connect_timeout", "5").
		With("keepalives_idle", "5").With("keepalives_interval", "2").With("keepalives_count", "3").With("tcp_user_timeout", "15000")
	for _, s := range a.Extra {
		c = c.With(s.Name, s.Value)
	}
	return c
}
