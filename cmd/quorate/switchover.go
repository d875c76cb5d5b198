package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"quorate/api/client"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
	"quorate/internal/ctl/direct"
)

// handover is a switchover or a failover.
type handover struct {
	action    string // "switchover" or "failover"
	leader    string // switchover: who must hold the lead
	candidate string
	scheduled string
	force     bool
}

func newSwitchoverCmd(a *app) *cobra.Command {
	h := handover{action: "switchover"}
	c := &cobra.Command{
		Use:   "switchover [CLUSTER]",
		Short: "Hand the lead over to a replica, in order",
		Args:  atMost(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.handOver(c.Context(), firstOf(args), h) },
	}
	c.Flags().StringVar(&h.leader, "leader", "", "the present leader")
	c.Flags().StringVar(&h.leader, "primary", "", "the same as --leader")
	c.Flags().StringVar(&h.leader, "master", "", "the same as --leader, by the name that it had before Patroni 4")
	_ = c.Flags().MarkHidden("master")
	c.Flags().StringVar(&h.candidate, "candidate", "", "who takes over; any that can, if not given")
	c.Flags().StringVar(&h.scheduled, "scheduled", "", "when: ISO 8601, or now")
	forceFlag(c, &h.force)
	a.globalFlags(c)
	return c
}

func newFailoverCmd(a *app) *cobra.Command {
	h := handover{action: "failover"}
	c := &cobra.Command{
		Use:   "failover [CLUSTER]",
		Short: "Give the lead to a replica although the leader does not take part",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if h.leader != "" { // so it was before Patroni 4
				fmt.Fprintln(a.err, "Warning: failover with a leader is a switchover: change scripts to say so")
				h.action = "switchover"
			}
			return a.handOver(c.Context(), firstOf(args), h)
		},
	}
	for _, name := range []string{"leader", "primary", "master"} {
		c.Flags().StringVar(&h.leader, name, "", "the present leader, as before Patroni 4: then it is a switchover")
		_ = c.Flags().MarkHidden(name)
	}
	c.Flags().StringVar(&h.candidate, "candidate", "", "who takes over")
	forceFlag(c, &h.force)
	a.globalFlags(c)
	return c
}

func (a *app) handOver(ctx context.Context, scope string, h handover) error {
	s, err := a.connect(scope)
	if err != nil {
		return err
	}
	c, err := s.cluster(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.out, "Current cluster topology")
	s.show(c)
	if err := s.askLeader(c, &h); err != nil {
		return err
	}
	if err := s.askCandidate(c, &h); err != nil {
		return err
	}
	if err := s.asynchronousCandidate(ctx, c, h); err != nil {
		return err
	}
	at, err := s.askWhen(c, &h)
	if err != nil {
		return err
	}
	if err := s.sureToHandOver(c, h, at); err != nil {
		return err
	}
	return s.sendHandOver(ctx, c, h, at)
}

// askLeader makes sure that a switchover is from the leader: whoever types its name knows who will go down.
func (s *session) askLeader(c ctl.Cluster, h *handover) error {
	if h.action == "failover" {
		return nil
	}
	leader := c.Leader()
	if leader == nil {
		return said("This cluster has no leader")
	}
	if h.leader == "" && h.force {
		h.leader = leader.Name
	}
	if h.leader == "" {
		who := "Primary"
		if leader.Role == "standby_leader" {
			who = "Standby Leader"
		}
		name, err := s.prompts.ask(who, &leader.Name)
		if err != nil {
			return err
		}
		h.leader = name
	}
	if h.leader != leader.Name {
		return saidf("Member %s is not the leader of cluster %s", h.leader, c.Name)
	}
	return nil
}

func (s *session) askCandidate(c ctl.Cluster, h *handover) error {
	var names []string
	for _, m := range c.Members {
		if !m.IsLeader() && !m.NoFailover() {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return saidf("No candidates found to %s to", h.action)
	}
	if h.candidate == "" && !h.force {
		none := ""
		name, err := s.prompts.ask("Candidate ['"+strings.Join(names, "', '")+"']", &none)
		if err != nil {
			return err
		}
		h.candidate = name
	}
	leader := c.Leader()
	switch {
	case h.candidate == "" && h.action == "failover":
		return said("Failover could be performed only to a specific candidate")
	case h.candidate == "" || slices.Contains(names, h.candidate):
		return nil
	case leader != nil && h.candidate == leader.Name:
		return saidf("Member %s is already the leader of cluster %s", h.candidate, c.Name)
	}
	return saidf("Member %s does not exist in cluster %s or is tagged as nofailover", h.candidate, c.Name)
}

// asynchronousCandidate asks once more before acknowledged commits may be lost.
func (s *session) asynchronousCandidate(ctx context.Context, c ctl.Cluster, h handover) error {
	if h.force || h.action != "failover" {
		return nil
	}
	shared, err := s.sharedConfig(ctx, c)
	if err != nil {
		return err
	}
	d, _ := dynamic.Parse(shared, dynamic.EtcdProfile()) // the times are not looked at
	if !d.SynchronousMode.Enabled() || isSync(c, h.candidate) {
		return nil
	}
	return s.agree(fmt.Sprintf("Are you sure you want to failover to the asynchronous node %s?", h.candidate), "Aborting failover")
}

func isSync(c ctl.Cluster, name string) bool {
	m := c.Member(name)
	return m != nil && (m.Role == "sync_standby" || m.Role == "quorum_standby")
}

// askWhen finds the time of a switchover; zero is now.
func (s *session) askWhen(c ctl.Cluster, h *handover) (time.Time, error) {
	if h.action == "failover" {
		return time.Time{}, nil
	}
	if h.scheduled == "" && !h.force {
		now := "now"
		when, err := s.prompts.ask("When should the switchover take place (e.g. "+s.nextHour()+" ) ", &now)
		if err != nil {
			return time.Time{}, err
		}
		h.scheduled = when
	}
	at, later, err := ctl.ParseSchedule(h.scheduled, time.Now())
	if err == nil && later && c.Pause {
		err = said("Can't schedule switchover in the paused state")
	}
	return at, err
}

// nextHour is an example of a time.
func (s *session) nextHour() string { return s.now().Add(time.Hour).Format("2006-01-02T15:04") }

func (s *session) sureToHandOver(c ctl.Cluster, h handover, at time.Time) error {
	if h.force {
		return nil
	}
	demoting := ""
	if l := c.Leader(); l != nil {
		demoting = ", demoting current leader " + l.Name
	}
	if !at.IsZero() {
		return s.agree(fmt.Sprintf("Are you sure you want to schedule switchover of cluster %s at %s%s?", c.Name, ctl.ISO(at), demoting),
			"Aborting scheduled switchover")
	}
	return s.agree(fmt.Sprintf("Are you sure you want to %s cluster %s%s?", h.action, c.Name, demoting), "Aborting "+h.action)
}

// sendHandOver asks the leader, or the candidate where there is none; when it cannot be reached, the store is asked in its place.
func (s *session) sendHandOver(ctx context.Context, c ctl.Cluster, h handover, at time.Time) error {
	body := map[string]any{"candidate": nil}
	if h.candidate != "" {
		body["candidate"] = h.candidate
	}
	if h.action == "switchover" {
		body["leader"] = h.leader
	}
	if !at.IsZero() {
		body["scheduled_at"] = ctl.ISO(at)
	}
	member := c.Leader()
	if member == nil {
		member = c.Member(h.candidate)
	}
	r, err := s.client.Do(ctx, member.APIURL, http.MethodPost, "/"+h.action, body)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		fmt.Fprintf(s.app.err, "Warning: %v\n", err)
		return s.handOverByKey(ctx, c, h, at)
	}
	if r.Code != http.StatusOK && r.Code != http.StatusAccepted {
		result := "failed"
		if strings.Contains(strings.ToLower(r.Text()), "status unknown") {
			result = "result unknown"
		}
		fmt.Fprintf(s.out, "%s %s, details: %d, %s\n", capital(h.action), result, r.Code, spoken(r))
		if r.Code == http.StatusServiceUnavailable {
			s.whyNot(ctx, *member)
		}
		return errFailed
	}
	fmt.Fprintf(s.out, "%s %s\n", micro(s.now()), r.Text())
	return s.showAgain(ctx)
}

// whyNot says for what reason a member has just given up a request, which Patroni's answer leaves out.
func (s *session) whyNot(ctx context.Context, m client.Member) {
	w, err := s.client.Why(ctx, m.APIURL)
	if err != nil {
		return // a member of Patroni's
	}
	latest := w.Decisions[max(0, len(w.Decisions)-3):]
	for _, d := range slices.Backward(latest) {
		if d.GaveUp != "" {
			fmt.Fprintf(s.app.err, "%s gave it up: %s\n", m.Name, d.GaveUp)
			return
		}
	}
}

func (s *session) showAgain(ctx context.Context) error {
	after, err := s.cluster(ctx)
	if err == nil {
		s.show(after)
	}
	return err
}

// handOverByKey asks by the key failover, which is all that a member does with a request. It is written only if nothing is asked for yet: a request that
// arrived before its answer was lost is not made twice.
func (s *session) handOverByKey(ctx context.Context, c ctl.Cluster, h handover, at time.Time) error {
	fmt.Fprintf(s.out, "%s Could not %s using Patroni api, falling back to DCS\n", micro(s.now()), h.action)
	limit := 2 * max(10*time.Second, s.loopWait(ctx, c))
	return s.orStore(ctx, func(store *direct.Store) error {
		ask := direct.Handover{Leader: h.leader, Candidate: h.candidate}
		if !at.IsZero() {
			ask.At = ctl.ISO(at)
		}
		before, err := store.Read(ctx)
		if err == nil {
			err = store.AskHandover(ctx, ask)
		}
		switch {
		case err != nil:
			return err
		case !at.IsZero():
			fmt.Fprintf(s.out, "%s %s scheduled\n", micro(s.now()), capital(h.action))
			return s.showAgain(ctx)
		}
		return s.awaitHandOver(ctx, store, h, before.LeaderName(), limit)
	})
}

// awaitHandOver looks at the keys until another leads, or the request has been given up.
func (s *session) awaitHandOver(ctx context.Context, store *direct.Store, h handover, old string, limit time.Duration) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		v, err := store.Read(bounded)
		leader := v.LeaderName
		switch {
		case err != nil:
		case leader() != "" && leader() != old:
			fmt.Fprintf(s.out, "%s Successfully %sed over to \"%s\"\n", micro(s.now()), strings.TrimSuffix(h.action, "over"), leader())
			return s.showAgain(ctx)
		case !v.HandoverPending():
			return saidf("%s failed: the members have given it up (quorate why tells the reason)", capital(h.action))
		}
		if pause(bounded, 200*time.Millisecond) != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return saidf("%s status unknown after %d seconds; operation may still be in progress", capital(h.action), int(limit/time.Second))
		}
	}
}

// capital makes the first letter large.
func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }
