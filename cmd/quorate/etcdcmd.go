package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

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
	ctx, told := tellSignal(ctx, log.Logger())
	err = etcdhost.Run(ctx, cfg, log.Logger(), prometheus.DefaultGatherer, func() { _, _ = daemon.SdNotify(false, daemon.SdNotifyReady) })
	if s := told(); err == nil && s != 0 {
		return exitError(bySignal + int(s))
	}
	return err
}

// signalGrace is how long after its context, which a signal ends too, a signal is waited for.
const signalGrace = 100 * time.Millisecond

// tellSignal logs the signal that ends the context, in etcd's words. told is which it was, 0 for none; it ends the context too.
func tellSignal(ctx context.Context, log *slog.Logger) (_ context.Context, told func() syscall.Signal) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	got := make(chan syscall.Signal, 1)
	go func() {
		defer close(got)
		<-ctx.Done()
		select {
		case s := <-signals:
			log.Info("received signal; shutting down", "signal", s.String())
			if n, ok := s.(syscall.Signal); ok {
				got <- n
			}
		case <-time.After(signalGrace):
		}
	}()
	return ctx, func() syscall.Signal {
		cancel()
		return <-got
	}
}
