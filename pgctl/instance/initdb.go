package instance

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
)

// InitdbOptions are what the configuration says about a new cluster.
type InitdbOptions struct {
	// Args are arguments of initdb, "--data-checksums", "--encoding=UTF8". Those that the agent makes itself are refused.
	Args []string
	// HBA are the lines of pg_hba.conf when the configuration has none; nil: passwords for everybody.
	HBA []string
}

// initdbReserved are arguments that would take what is the agent's out of its hands; Patroni refuses the same.
var initdbReserved = []string{"--pgdata", "-D", "--nosync", "-N", "--pwfile", "--sync-only", "-S", "--version", "-V"}

// Initdb makes a new cluster in a missing or empty folder, and leaves it at rest. Start it by StartPrimary, then call
// PostBootstrap. What an earlier Initdb left half done is removed first.
func (i *Instance) Initdb(ctx context.Context, o InitdbOptions) (err error) {
	done, err := i.begin("initdb")
	if err != nil {
		return err
	}
	defer done(&err)
	for _, a := range o.Args {
		name, _, _ := strings.Cut(a, "=")
		for _, r := range initdbReserved {
			if name == r {
				return fmt.Errorf("bootstrap.initdb: the agent itself sets %s: leave it out", name)
			}
		}
	}
	if err := i.prepareEmpty(ctx, markInitdb, false); err != nil {
		return err
	}
	dir, v, err := i.tools(ctx)
	if err != nil {
		return err
	}
	args := append([]string{"-D", i.opt.DataDir, "--username=" + i.accounts().Superuser.User}, i.withWALDir(o.Args)...)
	if pw := i.accounts().Superuser.Password; pw != "" {
		file := i.statePath("pwfile")
		if err := i.writeFile(file, []byte(pw+"\n")); err != nil {
			return err
		}
		defer os.Remove(file)
		args = append(args, "--pwfile="+file)
	}
	i.progress("initdb", "initdb", 0, 0)
	if _, err := i.run(ctx, command{path: i.inDir(dir, "initdb"), args: args, line: i.logLine("initdb")}); err != nil {
		return errors.Join(err, i.discardHalf())
	}
	if o.HBA == nil {
		o.HBA = i.DefaultHBA(v)
	}
	i.confMu.Lock()
	if i.conf.HBA == nil {
		i.conf.HBA = o.HBA
	}
	i.confMu.Unlock()
	if err := i.SetFounding(FoundingMade); err != nil {
		return err
	}
	return i.finishFresh(ctx)
}

// prepareEmpty makes the folder empty and puts the marker in front of it. It removes nothing but what a marker says is half done, and that
// not when it can be used.
func (i *Instance) prepareEmpty(ctx context.Context, op string, keepData bool) error {
	if pid, err := i.opt.Supervisor.Running(ctx); err != nil || pid != 0 {
		return orError(err, ErrRunning)
	}
	if pid := i.postmasterPID(); pid != 0 {
		return fmt.Errorf("%w as process %d", ErrRunning, pid)
	}
	f := i.Inspect(ctx)
	if !f.Empty && (!f.Marker.emptiable() || errors.Is(f.Err, ErrUsed)) {
		return fmt.Errorf("%s: %w", i.opt.DataDir, orError(f.Err, ErrHasData))
	}
	if !f.Empty && !keepData {
		if err := i.wipe(); err != nil {
			return err
		}
	}
	if err := errors.Join(i.mark(op), i.SetFounding(FoundingNone)); err != nil {
		return err
	}
	return i.mkdir(i.opt.DataDir)
}

// finishFresh turns a folder that has just been filled into one at rest.
func (i *Instance) finishFresh(ctx context.Context) error {
	if err := i.atRest(); err != nil {
		return err
	}
	if _, err := i.PassFile(); err != nil {
		return err
	}
	if err := i.writeConfig(ctx); err != nil {
		return err
	}
	return i.unmark()
}

// discardHalf removes what a failed fill left, with its marker.
func (i *Instance) discardHalf() error {
	if err := i.wipe(); err != nil {
		return err
	}
	return i.unmark()
}

// logLine logs what a program says.
func (i *Instance) logLine(tool string) func(string) {
	return func(l string) { i.log.Info("output", "tool", tool, "line", l) }
}
