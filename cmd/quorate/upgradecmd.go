package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

func init() { constructors = append(constructors, newUpgradeCmd) }

// newUpgradeCmd replaces the process of a host.
func newUpgradeCmd(a *app) *cobra.Command {
	var o proxyOptions
	var wait time.Duration
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Replace this host's process by the program on disk; PostgreSQL and sessions stay",
		Long: `Replace the process of this host by the program that is on disk now, after it was put there by a package or by hand.

The new program is asked first whether it runs and accepts the configuration. PostgreSQL goes on under its fence, and the new
process takes the lease up. The router's ports pass from one process to the other without a refused connection; the sessions that are
there run out in the old process (proxy.upgrade_timeout). SIGUSR2 does the same.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.onRouter(c.Context(), o, func(ctx context.Context, s *session, url string, _ ctl.Format) error {
				return a.upgrade(ctx, s, url, wait)
			})
		},
	}
	c.Flags().StringVar(&o.host, "host", "", "another host: a member's name, or host:port of its API")
	c.Flags().DurationVar(&wait, "wait", time.Minute, "how long to wait for the new process")
	o.format = string(ctl.Pretty)
	a.globalFlags(c)
	return c
}

// processInfo is the answer of GET /v1/process.
type processInfo struct {
	PID     int    `json:"pid"`
	Product string `json:"product"`
}

func (a *app) upgrade(ctx context.Context, s *session, url string, wait time.Duration) error {
	before, err := processAt(ctx, s, url)
	if err != nil {
		return err
	}
	r, err := s.client.Do(ctx, url, http.MethodPost, "/v1/upgrade", nil)
	if err != nil {
		return err
	}
	if r.Code != http.StatusAccepted {
		return fmt.Errorf("no upgrade: %d, %s", r.Code, r.Text())
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the new process has not answered within %s; the host's log tells more", wait)
		case <-time.After(200 * time.Millisecond):
		}
		if now, err := processAt(ctx, s, url); err == nil && now.PID != before.PID {
			fmt.Fprintf(a.out, "Process %d (%s) has replaced process %d (%s)\n", now.PID, now.Product, before.PID, before.Product)
			return nil
		}
	}
}

func processAt(ctx context.Context, s *session, url string) (p processInfo, err error) {
	r, err := s.client.Do(ctx, url, http.MethodGet, "/v1/process", nil)
	if err != nil {
		return p, err
	}
	if r.Code != http.StatusOK {
		return p, fmt.Errorf("GET /v1/process: %d, %s", r.Code, r.Text())
	}
	return p, json.Unmarshal(r.Body, &p)
}
