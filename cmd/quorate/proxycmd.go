package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

// proxyOptions say which host's router is meant, and how it is shown.
type proxyOptions struct {
	host   string
	format string
}

func newProxyCmd(a *app) *cobra.Command {
	c := newProxyStatusCmd(a)
	c.Use, c.Short = "proxy", "Show this host's router, its sessions, and end one"
	c.AddCommand(newProxyStatusCmd(a), newProxySessionsCmd(a), newProxyKillCmd(a))
	return c
}

func newProxyStatusCmd(a *app) *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the router's listeners and the servers behind them",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.onRouter(c.Context(), o, func(ctx context.Context, s *session, url string, f ctl.Format) error {
				r, err := s.client.Router(ctx, url)
				if err != nil {
					return err
				}
				fmt.Fprint(a.out, ctl.RouterListeners(r).Render(f))
				fmt.Fprint(a.out, ctl.RouterBackends(r).Render(f))
				return nil
			})
		},
	}
	o.flags(c)
	a.globalFlags(c)
	return c
}

func newProxySessionsCmd(a *app) *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "sessions",
		Short: "Show who is connected through the router",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.onRouter(c.Context(), o, func(ctx context.Context, s *session, url string, f ctl.Format) error {
				list, err := s.client.RouterSessions(ctx, url)
				if err != nil {
					return err
				}
				fmt.Fprint(a.out, ctl.RouterSessions(list).Render(f))
				return nil
			})
		},
	}
	o.flags(c)
	a.globalFlags(c)
	return c
}

func newProxyKillCmd(a *app) *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "kill SESSION",
		Short: "End a session; its client is told so",
		Args:  exactly(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.onRouter(c.Context(), o, func(ctx context.Context, s *session, url string, _ ctl.Format) error {
				r, err := s.client.Do(ctx, url, http.MethodDelete, "/v1/router/sessions/"+args[0], nil)
				if err != nil {
					return err
				}
				if r.Code != http.StatusOK {
					return fmt.Errorf("session %s is not ended: %d, %s", args[0], r.Code, r.Text())
				}
				fmt.Fprintf(a.out, "Session %s is ended\n", args[0])
				return nil
			})
		},
	}
	c.Flags().StringVar(&o.host, "host", "", "another host: a member's name, or host:port of its API")
	o.format = string(ctl.Pretty)
	a.globalFlags(c)
	return c
}

func (o *proxyOptions) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.host, "host", "", "another host: a member's name, or host:port of its API")
	formatFlag(c, &o.format, "pretty")
}

// onRouter finds the host. One that has only the role proxy is no member of the cluster, and so goes by its address.
func (a *app) onRouter(ctx context.Context, o proxyOptions, do func(ctx context.Context, s *session, url string, f ctl.Format) error) error {
	f, err := parseFormat(o.format)
	if err != nil {
		return err
	}
	s, err := a.connect("")
	if err != nil {
		return err
	}
	url := s.cfg.Members[0]
	switch {
	case strings.Contains(o.host, ":"):
		scheme, _, _ := strings.Cut(url, "://")
		url = scheme + "://" + o.host
	case o.host != "":
		c, err := s.cluster(ctx)
		if err != nil {
			return err
		}
		m := c.Member(o.host)
		if m == nil {
			return fmt.Errorf("there is no member %s in the cluster %s; a host without PostgreSQL is named by its address, host:port", o.host, c.Name)
		}
		url = m.APIURL
	}
	return do(ctx, s, url, f)
}
