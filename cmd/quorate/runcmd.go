package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/fence"
	"quorate/internal/logging"
	"quorate/internal/node"
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

SIGTERM hands over, stops PostgreSQL and ends; SIGHUP reads the configuration again.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path := config.DefaultPath
			if len(args) == 1 {
				path = args[0]
			}
			return a.runNode(c.Context(), path, roles)
		},
	}
	c.Flags().StringSliceVar(&roles, "roles", nil, "store, postgres, proxy: the parts that this host plays")
	return c
}

func (a *app) runNode(ctx context.Context, path string, roles []string) error {
	load := func() (*config.Config, []config.Warning, error) {
		return config.Load(config.LoadOptions{
			Path: path, Env: a.env, RolesFlag: roles, CalledAsPatroni: a.calledAs == "patroni", Host: config.LocalHost(),
		})
	}
	cfg, warnings, err := load()
	if err != nil {
		return err
	}
	log := a.logger(cfg)
	for _, w := range warnings {
		level := slog.LevelWarn
		if w.Note {
			level = slog.LevelInfo
		}
		log.Log(ctx, level, w.String())
	}
	debug.SetGCPercent(200) // 3 MB live: a collection every 10 s instead of every 3, for 5 MB more
	n, err := node.New(node.Options{
		Config: cfg, Logger: log, Exe: node.Executable(), Product: "Quorate/" + version(),
		Reload: func() (*config.Config, error) { c, _, err := load(); return c, err },
	})
	if err != nil {
		return err
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	go func() {
		for range hup {
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReloading)
			_ = n.Reload() // it has said what is wrong
			_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
		}
	}()
	return n.Run(ctx, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) })
}

func (a *app) logger(cfg *config.Config) *slog.Logger {
	var out io.Writer = a.err
	if dir := cfg.Log.Dir; dir != "" {
		f, err := os.OpenFile(filepath.Join(dir, "quorate.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err == nil {
			out = f
		} else {
			fmt.Fprintf(a.err, "log.dir: %v; logging to standard error\n", err)
		}
	}
	return logging.New(out, logging.Options{Level: cfg.Log.Level, JSON: cfg.Log.Type == "json"})
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
			log := logging.New(a.err, logging.Options{}).With("component", "fence")
			return fence.Run(stateDir, dataDir, log, func() {})
		},
	}
	c.Flags().StringVar(&stateDir, "state-dir", "", "the folder beside the data folder")
	c.Flags().StringVar(&dataDir, "data-dir", "", "the data folder")
	return c
}
