package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"quorate/internal/config"
	"quorate/internal/fence"
	"quorate/internal/logging"
	"quorate/internal/node"
	"quorate/internal/precedence"
)

func init() { constructors = append(constructors, newRunCmd, newFenceCmd) }

// newRunCmd is one host.
func newRunCmd(a *app) *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "run [CONFIG]",
		Short: "Run one host of the cluster: store, PostgreSQL and router",
		Long: `Run one host. CONFIG is a file, a folder of *.yml, or missing: then ` + config.DefaultPath + `, and if there
is none, the environment (PATRONI_ and QUORATE_ variables).

SIGTERM hands over, stops PostgreSQL and ends; SIGHUP reads the configuration again; SIGUSR2 starts the program anew, as
"quorate upgrade" does: PostgreSQL and clients' sessions stay. systemd's socket units may open the router's ports (LISTEN_FDS).`,
		Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if os.Getpid() == 1 {
				return asFirstProcess(again())
			}
			path := config.DefaultPath
			if len(args) == 1 {
				path = args[0]
			}
			return a.runNode(c.Context(), path, roles)
		},
	}
	if a.calledAs == "patroni" {
		c.Long += patroniOptions
	}
	c.Flags().StringSliceVar(&roles, "roles", nil, "store, postgres, proxy: the parts that this host plays")
	return c
}

// patroniOptions are what [patroniArgs] understands, for the help of the link.
const patroniOptions = `

Called as patroni it has its options, too:
  --validate-config [CONFIG] [-i] [-p]  check a configuration, -i without its ports, and print it
  --generate-config [FILE] [--dsn DSN]  write a configuration that takes over a running PostgreSQL
  --generate-sample-config [FILE]       write a sample
  --version                             show the version of Patroni whose interfaces these are`

func (a *app) runNode(ctx context.Context, path string, roles []string) error {
	sockets, tellReady := a.inherit()
	load := func() (*config.Config, []config.Warning, error) {
		return config.Load(config.LoadOptions{
			Path: path, Env: a.env, RolesFlag: roles, CalledAsPatroni: a.calledAs == "patroni", Host: config.LocalHost(),
		})
	}
	cfg, warnings, err := load()
	if err != nil {
		return err
	}
	if err := forgetEnvironment(a.env); err != nil {
		return err
	}
	lines, err := logging.Open(a.err, a.logOptions(cfg))
	if err != nil {
		return fmt.Errorf("%s: %w", cfg.At("log"), err)
	}
	defer func() { _ = lines.Close() }()
	log := lines.Logger()
	tell(ctx, log, warnings)
	_ = precedence.Raise()  // where it is not allowed all works, until the CPU is short: quorate doctor says so
	debug.SetGCPercent(200) // 3 MB live: a collection every 10 s instead of every 3, for 5 MB more
	up, err := newUpgrader(path, cfg.Roles.String(), a.env)
	if err != nil {
		return err
	}
	n, err := node.New(node.Options{
		Config: cfg, Logger: log, Exe: node.Executable(), Product: "Quorate/" + version(),
		Sockets: sockets, Upgrader: up,
		Reload: func() (*config.Config, error) {
			c, warnings, err := load()
			tell(ctx, log, warnings)
			return c, err
		},
		Relog:      func(c *config.Config) error { return lines.Reload(a.logOptions(c)) },
		LogBacklog: lines.Stats,
		Series:     prometheus.DefaultGatherer,
	})
	if err != nil {
		return err
	}
	defer onSignals(ctx, n, up, log)()
	err = n.Run(ctx, func() {
		tellReady()
		_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	})
	return lastWords(ctx, up.outlive(err), cfg.Name, log)
}

// levelCritical is Python's level above ERROR.
const levelCritical = slog.LevelError + 4

// lastWords puts into the log why a host ends by itself: who looks for that next morning looks there, and not at the standard error. A name
// that is taken has Patroni's words, which its tests look for (patroni/__main__.py, ensure_unique_name).
func lastWords(ctx context.Context, err error, name string, log *slog.Logger) error {
	var code exitError
	if err == nil || errors.As(err, &code) {
		return err
	}
	if errors.Is(err, node.ErrNameTaken) {
		log.Log(ctx, levelCritical, "Can't start; there is already a node named '"+name+"' running", "why", err)
	} else {
		log.Log(ctx, levelCritical, "this host ends: "+err.Error())
	}
	return errFailed
}

// forgetEnvironment takes this program's variables out of the environment that its children inherit: there are passwords among them.
func forgetEnvironment(env map[string]string) error {
	for name := range env {
		if config.IsVariable(name) {
			if err := os.Unsetenv(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func tell(ctx context.Context, log *slog.Logger, warnings []config.Warning) {
	for _, w := range warnings {
		level := slog.LevelWarn
		if w.Note {
			level = slog.LevelInfo
		}
		log.Log(ctx, level, w.String())
	}
}

// onSignals carries out what signals ask of a running host. Once another process has taken over they are that one's.
func onSignals(ctx context.Context, n *node.Node, up *upgrader, log *slog.Logger) (stop func()) {
	silent := context.AfterFunc(ctx, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyStopping) })
	unattend := up.attend()
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case sig := <-signals:
				if !up.replaced() {
					obey(ctx, sig, n, log)
				}
			case <-done:
				return
			}
		}
	}()
	return func() { silent(); unattend(); signal.Stop(signals); close(done) }
}

func obey(ctx context.Context, sig os.Signal, n *node.Node, log *slog.Logger) {
	if sig == syscall.SIGUSR2 {
		if err := n.Upgrade(ctx); err != nil {
			log.Error("no upgrade", "error", err)
		}
		return
	}
	_, _ = daemon.SdNotify(false, reloading())
	_ = n.Reload() // it has said what is wrong
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
}

// reloading is the message of a reload, with the time that Type=notify-reload wants (sd_notify(3)).
func reloading() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return daemon.SdNotifyReloading
	}
	return daemon.SdNotifyReloading + "\nMONOTONIC_USEC=" + strconv.FormatInt(now.Nano()/1000, 10)
}

// logOptions translates the section log. Who takes a Patroni's place under its name writes patroni.log, as log shippers expect.
func (a *app) logOptions(cfg *config.Config) logging.Options {
	l := cfg.Log
	o := logging.Options{
		Level: l.Level, Loggers: l.Loggers, JSON: l.Type == "json", Format: l.Format, Fields: l.JSONFormat, DateFormat: l.DateFormat,
		StaticFields: l.StaticFields, MaxQueue: l.MaxQueueSize,
		Rotation: logging.Rotation{Size: l.FileSize, Keep: l.FileNum, Mode: fs.FileMode(l.Mode)},
	}
	if l.Dir != "" {
		name := "quorate.log"
		if a.calledAs == "patroni" {
			name = "patroni.log"
		}
		o.File = filepath.Join(l.Dir, name)
	}
	return o
}

// newFenceCmd is the process that the agent starts beside itself.
func newFenceCmd(a *app) *cobra.Command {
	var stateDir, dataDir string
	c := &cobra.Command{
		Use:    "fence --state-dir DIR --data-dir DIR",
		Short:  "Guard one PostgreSQL: started by run, not by hand",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			log := logging.Plain(a.err).With("component", "fence")
			_ = precedence.Raise() // as the agent does
			return fence.Run(stateDir, dataDir, log, func() {})
		},
	}
	c.Flags().StringVar(&stateDir, "state-dir", "", "the folder beside the data folder")
	c.Flags().StringVar(&dataDir, "data-dir", "", "the data folder")
	return c
}
