package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/cobra"

	"quorate/internal/ctl"
)

func newForgetCmd(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "forget [CLUSTER] MEMBER",
		Short: "Forget a data host that is gone for good",
		Long: `Forget a data host that is gone for good. Until then the cluster expects it back: a start of all hosts waits for it, as it may hold newer data than the
others, why names it, and the primary keeps its replication slot. A host that still reports is refused. One that comes back all the same is known
again, and is cloned anew if the log that it needs is gone. The store's own members are not touched: quorate member remove.`,
		Args: cobra.MatchAll(atLeast(1), atMost(2)),
		RunE: func(c *cobra.Command, args []string) error {
			scope := ""
			if len(args) == 2 {
				scope = args[0]
			}
			s, err := a.connect(scope)
			if err != nil {
				return err
			}
			return s.forget(c.Context(), args[len(args)-1])
		},
	}
	a.globalFlags(c)
	return c
}

// forget asks for the name again: what the host holds, and the others lack, is given up with it.
func (s *session) forget(ctx context.Context, name string) error {
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	if c.Member(name) != nil {
		return saidf("%s reports: stop it for good first, and wait for it to leave the list", name)
	}
	at, known := s.missing(ctx, c)[name]
	if !known {
		return saidf("the cluster %s knows no data host %s", c.Name, name)
	}
	if s.alive(ctx, at) {
		return saidf("the agent of %s answers at %s, it is only cut off from the store: stop it for good first", name, at)
	}
	fmt.Fprint(s.out, ctl.Members(c, ctl.Pretty, false))
	fmt.Fprintf(s.out, "%s does not report. What it holds, and these lack, is given up when nobody waits for it any more.\n", name)
	typed, err := s.prompts.ask("Please confirm the name of the host to forget", nil)
	if err != nil {
		return err
	}
	if typed != name {
		return said("The names specified do not match")
	}
	r, err := s.write(ctx, c, http.MethodDelete, "/v1/members/"+url.PathEscape(name), nil)
	if err != nil {
		return err
	}
	if r.Code != http.StatusOK {
		return fmt.Errorf("%s is not forgotten, status code=%d, (%s)", name, r.Code, spoken(r))
	}
	fmt.Fprintf(s.out, "Success: %s is forgotten\n", name)
	return nil
}

// alive says whether an agent answers.
func (s *session) alive(ctx context.Context, at string) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	_, err := s.client.Do(ctx, at, http.MethodGet, "/liveness", nil)
	return err == nil
}
