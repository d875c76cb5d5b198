package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"quorate/api/client"
	"quorate/internal/ctl"
	"quorate/internal/ctl/direct"
)

// write sends a request that any member can serve to the leader, and to the others in turn while nobody takes it. It is for
// requests that do no harm when they arrive twice.
func (s *session) write(ctx context.Context, c ctl.Cluster, method, path string, body any) (client.Reply, error) {
	urls := leaderFirst(c)
	if s.stored != nil {
		urls = nil // none has answered a moment ago
	}
	for _, url := range urls {
		r, err := s.client.Do(ctx, url, method, path, body)
		if err == nil {
			return r, nil
		}
		fmt.Fprintf(s.app.err, "Warning: %v\n", err)
	}
	return client.Reply{}, errNobody
}

// errNobody means that no member could be reached.
const errNobody = said("Can not find accessible cluster member")

// changeConfig merges a change into the shared configuration: by a member, or in the store itself when none can be reached.
func (s *session) changeConfig(ctx context.Context, c ctl.Cluster, patch map[string]any) (client.Reply, error) {
	r, err := s.write(ctx, c, http.MethodPatch, "/config", patch)
	if !errors.Is(err, errNobody) {
		return r, err
	}
	return client.Reply{Code: http.StatusOK}, s.orStore(ctx, func(store *direct.Store) error { return store.PatchConfig(ctx, patch) })
}

// orStore is inStore after nobody could be reached: without a store either, that is what is wrong.
func (s *session) orStore(ctx context.Context, do func(*direct.Store) error) error {
	err := s.inStore(ctx, do)
	if err != nil {
		return fmt.Errorf("%w, and without one: %w", errNobody, err)
	}
	return nil
}

// leaderFirst are the members' API addresses, the leader's before the others', and the one that gave the view.
func leaderFirst(c ctl.Cluster) []string {
	var out []string
	if l := c.Leader(); l != nil && l.APIURL != "" {
		out = append(out, l.APIURL)
	}
	for _, m := range c.Members {
		if m.APIURL != "" && !m.IsLeader() {
			out = append(out, m.APIURL)
		}
	}
	if from := c.From; from != "" && !slices.ContainsFunc(out, func(url string) bool { return client.Base(url) == client.Base(from) }) {
		out = append(out, from) // a host without PostgreSQL takes requests about the cluster, too
	}
	return out
}

// report prints how a member took a request, and whether it did.
func (s *session) report(r client.Reply, member, action string) bool {
	if r.Code >= 400 {
		fmt.Fprintf(s.out, "Failed: %s for member %s, status code=%d, (%s)\n", action, member, r.Code, spoken(r))
		return false
	}
	fmt.Fprintf(s.out, "Success: %s for member %s\n", action, member)
	return true
}

// each does something to each member. What fails for one is said and does not keep the others from it; the command then fails.
func (s *session) each(members []client.Member, action string, do func(m client.Member) (ok bool, err error)) error {
	failed := false
	for _, m := range members {
		ok, err := do(m)
		if errors.Is(err, errAborted) || errors.Is(err, context.Canceled) {
			return err
		}
		if err != nil {
			fmt.Fprintf(s.out, "Failed: %s for member %s, %v\n", action, m.Name, err)
		}
		failed = failed || err != nil || !ok
	}
	if failed {
		return errFailed
	}
	return nil
}
