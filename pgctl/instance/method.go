package instance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"quorate/pgctl/postgres"
)

// Method is a way to fill a data folder: pg_basebackup, or a program of the user's, restore tools for one. Its interface is Patroni's.
type Method struct {
	Name string // BaseBackup, or the user's name for it
	// Command has words as in a shell; empty: Name.
	Command string
	// Args are further arguments, "--key=value" for each other key of the method's section.
	Args []string
	// NoParams keeps --scope, --datadir and the like from it.
	NoParams bool
	// KeepData says that it can use a folder with old data in it. It gets one only when that data may be lost.
	KeepData bool
	// NoLeader says that it needs no server to copy from.
	NoLeader bool
}

// BaseBackup is the method that is built in.
const BaseBackup = "basebackup"

// ErrNoMethod says that no way to get a copy is left: each one failed, or needs a server to copy from.
var ErrNoMethod = errors.New("no way to get a copy of the data")

// fill tries the methods in order until one has filled the folder.
func (i *Instance) fill(ctx context.Context, o CloneOptions) error {
	errs := []error{ErrNoMethod}
	for n, m := range o.methods() {
		if o.Host == "" && !m.NoLeader {
			continue
		}
		if n > 0 && !m.KeepData {
			if err := i.wipe(); err != nil {
				return err
			}
		}
		err := i.fillBy(ctx, o, m)
		if err == nil || ctx.Err() != nil {
			return err
		}
		i.log.Warn("this way to get a copy failed", "method", m.Name, "err", err)
		errs = append(errs, fmt.Errorf("%s: %w", m.Name, err))
	}
	return errors.Join(errs...)
}

func (o CloneOptions) methods() []Method {
	if len(o.Methods) == 0 {
		return []Method{{Name: BaseBackup}}
	}
	return o.Methods
}

func (i *Instance) fillBy(ctx context.Context, o CloneOptions, m Method) error {
	if m.Name == BaseBackup && m.Command == "" {
		return i.baseBackup(ctx, o)
	}
	connstring := ""
	if o.Host != "" {
		connstring = i.toolConninfo(o.Host, o.Port, o.Name, i.accounts().Replication).String()
	}
	params := []string{"--scope=" + i.opt.ClusterName, "--role=replica", "--datadir=" + i.opt.DataDir, "--connstring=" + connstring}
	return i.runMethod(ctx, m, params)
}

// runMethod runs a program of the user's and sees whether it has left a data folder.
func (i *Instance) runMethod(ctx context.Context, m Method, params []string) error {
	if m.Command == "" {
		m.Command = m.Name
	}
	words, err := postgres.SplitCommand(m.Command)
	if err != nil || len(words) == 0 {
		return fmt.Errorf("command %q: %w", m.Command, orError(err, postgres.ErrBadCommand))
	}
	pass, err := i.PassFile()
	if err != nil {
		return err
	}
	args := append(words[1:], m.Args...)
	if !m.NoParams {
		args = append(args, params...)
	}
	i.progress("clone", m.Name, 0, 0)
	i.withoutEmptyFolder()
	_, err = i.run(ctx, command{users: true, path: words[0], args: args, env: []string{"PGPASSFILE=" + pass}, line: i.logLine(m.Name), out: i.logLine(m.Name)})
	if err != nil {
		return err
	}
	for _, need := range []string{"PG_VERSION", "global/pg_control"} {
		if !exists(i.dataPath(need)) {
			return fmt.Errorf("it ended without an error, but %s has no %s", i.opt.DataDir, need)
		}
	}
	return os.Chmod(i.opt.DataDir, 0o700)
}

// withoutEmptyFolder takes an empty data folder away: with Patroni a method makes it, and some restore tools insist on that. It stays where
// PostgreSQL's user could not make it again, and where it is a mount point.
func (i *Instance) withoutEmptyFolder() {
	if c := i.credential(); c != nil {
		var up unix.Stat_t
		if unix.Stat(filepath.Dir(i.opt.DataDir), &up) != nil || up.Uid != c.Uid {
			return
		}
	}
	if err := unix.Rmdir(i.opt.DataDir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.ENOENT) {
		i.log.Debug("the empty data folder stays", "err", err)
	}
}

// BootstrapOptions say how a new cluster is made from a copy of another one.
type BootstrapOptions struct {
	Method Method
	// Recovery are settings of the one recovery that makes the cluster, recovery_target_time for one. KeepRecovery leaves instead
	// what the method has set up by itself.
	Recovery     postgres.Params
	KeepRecovery bool
}

// restoring is the recovery that makes a cluster; it ends when the primary accepts writes.
type restoring struct {
	params   postgres.Params
	keepAuto bool
}

// BootstrapBy makes a new cluster in a missing or empty folder by a program of the user's. Start it by StartPrimary, which waits for
// the end of its recovery, then call PostBootstrap.
func (i *Instance) BootstrapBy(ctx context.Context, o BootstrapOptions) (err error) {
	done, err := i.begin("bootstrap")
	if err != nil {
		return err
	}
	defer done(&err)
	if err := i.prepareEmpty(ctx, markInitdb, false); err != nil {
		return err
	}
	if err := i.runMethod(ctx, o.Method, []string{"--scope=" + i.opt.ClusterName, "--datadir=" + i.opt.DataDir}); err != nil {
		return errors.Join(err, i.discardHalf())
	}
	if err := i.setRecovery(o); err != nil {
		return err
	}
	if err := i.SetFounding(FoundingMade); err != nil {
		return err
	}
	return i.finishFresh(ctx)
}

func (i *Instance) setRecovery(o BootstrapOptions) error {
	r := &restoring{params: maps.Clone(o.Recovery), keepAuto: o.KeepRecovery}
	i.confMu.Lock()
	defer i.confMu.Unlock()
	switch {
	case len(o.Recovery) > 0:
		if r.params["recovery_target_action"] == "" {
			r.params["recovery_target_action"] = "promote" // the default would wait for somebody to end the pause
		}
		i.restoring = r
		return i.writeFile(i.dataPath(recoverySignal), nil)
	case o.KeepRecovery:
		i.restoring = r
		return nil
	}
	return removeFile(i.dataPath(recoverySignal))
}

// restored ends the special settings of a bootstrap.
func (i *Instance) restored(ctx context.Context) error {
	i.confMu.Lock()
	was := i.restoring
	i.restoring = nil
	i.confMu.Unlock()
	if was == nil {
		return nil
	}
	return i.Reload(ctx)
}
