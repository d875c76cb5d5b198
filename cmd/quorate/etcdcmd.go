package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"quorate/internal/etcdhost"
	"quorate/internal/logging"
)

// newEtcdCmd is a store host that is configured as etcd is.
func newEtcdCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "etcd [etcd's flags]",
		Short: "Run a store host that is configured as etcd is",
		Long: `Run a store host by etcd's flags, ETCD_ variables or --config-file (versions 3.4 and 3.5), in the foreground.
"quorate etcd --help" lists them; a link named etcd to this program takes them too.`,
		DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := etcdhost.Parse(args, a.env)
			switch {
			case errors.Is(err, etcdhost.ErrHelp):
				etcdhost.Help(a.out)
				return nil
			case err != nil:
				fmt.Fprintf(a.err, "Error: %v\nTry 'etcd --help' for help.\n", err)
				return exitError(exitUsage)
			case cfg.Version:
				_, err := io.WriteString(a.out, etcdhost.Version())
				return err
			}
			return a.runEtcd(c.Context(), cfg)
		},
	}
}

func (a *app) runEtcd(ctx context.Context, cfg *etcdhost.Config) error {
	to := a.err
	if cfg.Log.Stdout {
		to = a.out
	}
	log, err := logging.Open(to, logging.Options{
		Level: cfg.Log.Level, Etcd: !cfg.Log.Console, File: cfg.Log.File,
		Rotation: logging.Rotation{Size: cfg.Log.MaxSize, Keep: cfg.Log.Keep},
	})
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	return etcdhost.Run(ctx, cfg, log.Logger(), prometheus.DefaultGatherer, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) })
}
