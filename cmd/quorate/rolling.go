package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"quorate/api/client"
	"quorate/internal/ctl"
)

// rollingPatience is how long a member may take to be back, unless --timeout says something else.
const rollingPatience = 5 * time.Minute

// rolling restarts members one after the other, each only when the one before is back: the replicas, those that commits wait for last, then
// the leader, who hands over first where somebody can take over. The first failure ends it, and the rest stays as it is.
func (s *session) rolling(ctx context.Context, c ctl.Cluster, members []client.Member, o restartOptions, body map[string]any) error {
	leader := c.Leader()
	if leader == nil {
		return errors.New("this cluster has no leader: a rolling restart would leave it without one for longer")
	}
	patience := rollingPatience
	if o.timeout != "" {
		d, err := time.ParseDuration(o.timeout + "s")
		if err != nil {
			return fmt.Errorf("--timeout: found %q, expected a number of seconds", o.timeout)
		}
		patience = d
	}
	r := &rollingRestart{session: s, o: o, body: body, patience: patience, syncs: countSync(c)}
	order := inRollingOrder(members)
	for n, m := range order {
		if err := r.one(ctx, m, m.Name == leader.Name); err != nil {
			fmt.Fprintf(s.out, "Failed: %v\n", err)
			if rest := namesOf(order[n+1:]); len(rest) > 0 {
				fmt.Fprintf(s.out, "The rolling restart stops here; not restarted: %s\n", strings.Join(rest, ", "))
			}
			return errFailed
		}
	}
	return r.again(ctx, order)
}

// inRollingOrder puts the replicas first, then those that are synchronous, then the leader.
func inRollingOrder(members []client.Member) []client.Member {
	rank := func(m client.Member) int {
		switch {
		case m.IsLeader():
			return 2
		case strings.HasSuffix(m.Role, "_standby"):
			return 1
		}
		return 0
	}
	out := slices.Clone(members)
	slices.SortStableFunc(out, func(a, b client.Member) int { return rank(a) - rank(b) })
	return out
}

func countSync(c ctl.Cluster) int {
	n := 0
	for _, m := range c.Members {
		if strings.HasSuffix(m.Role, "_standby") {
			n++
		}
	}
	return n
}

type rollingRestart struct {
	*session
	o        restartOptions
	body     map[string]any
	patience time.Duration
	syncs    int // how many synchronous standbys there were
}

// one restarts a member and waits until the cluster is as it was.
func (r *rollingRestart) one(ctx context.Context, m client.Member, leads bool) error {
	handed := false
	if leads {
		var err error
		if handed, err = r.handOver(ctx, m); err != nil {
			return err
		}
	}
	if !handed || m.Role == "standby_leader" { // a primary is restarted by handing over; a standby leader goes on running
		ok, err := r.restartOne(ctx, m, r.o, r.body)
		if err == nil && !ok {
			err = fmt.Errorf("member %s was not restarted", m.Name)
		}
		if err != nil {
			return err
		}
	}
	return r.back(ctx, m.Name)
}

// handOver gives the lead to a replica that can take it. False: there is none, and the leader is restarted in place.
func (r *rollingRestart) handOver(ctx context.Context, leader client.Member) (bool, error) {
	c, err := r.cluster(ctx)
	if err != nil {
		return false, err
	}
	fit := func(m client.Member) bool { return !m.IsLeader() && !m.NoFailover() && m.State == "streaming" }
	if !slices.ContainsFunc(c.Members, fit) {
		fmt.Fprintf(r.out, "No replica can take over: %s is restarted in place\n", leader.Name)
		return false, nil
	}
	reply, err := r.client.Do(ctx, leader.APIURL, http.MethodPost, "/switchover", map[string]any{"leader": leader.Name})
	if err != nil {
		return false, fmt.Errorf("switchover: %w (it may have been taken all the same: see quorate list)", err)
	}
	if reply.Code != http.StatusOK {
		return false, fmt.Errorf("switchover, status code=%d, (%s)", reply.Code, reply.Text())
	}
	fmt.Fprintf(r.out, "Success: %s\n", reply.Text())
	return true, nil
}

// back waits until a member runs and follows, or leads, and until as many standbys are synchronous as before.
func (r *rollingRestart) back(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, r.patience)
	defer cancel()
	why := ""
	for {
		c, err := r.cluster(ctx)
		if err != nil {
			why = err.Error()
		} else if why = r.lacks(c, name); why == "" {
			fmt.Fprintf(r.out, "Member %s is back\n", name)
			return nil
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return fmt.Errorf("member %s is not back within %s: %s", name, r.patience, why)
		}
	}
}

// lacks says what keeps the cluster from being as it was.
func (r *rollingRestart) lacks(c ctl.Cluster, name string) string {
	m, leader := c.Member(name), c.Leader()
	switch {
	case leader == nil:
		return "the cluster has no leader"
	case m == nil:
		return "it is not listed"
	case !serving(m.State):
		return "it is " + m.State
	case m.Timeline != leader.Timeline:
		return fmt.Sprintf("it is on timeline %d, the leader on %d", m.Timeline, leader.Timeline)
	case countSync(c) < r.syncs:
		return fmt.Sprintf("%d of %d standbys are synchronous again", countSync(c), r.syncs)
	}
	return ""
}

// again restarts who still waits for it: a standby cannot take less of some parameters than its primary had, and could not before the leader's
// own restart.
func (r *rollingRestart) again(ctx context.Context, order []client.Member) error {
	c, err := r.cluster(ctx)
	if err != nil {
		return err
	}
	for _, done := range order {
		if m := c.Member(done.Name); m != nil && m.PendingRestart && !m.IsLeader() {
			if err := r.one(ctx, *m, false); err != nil {
				fmt.Fprintf(r.out, "Failed: %v\n", err)
				return errFailed
			}
		}
	}
	fmt.Fprintln(r.out, "Success: rolling restart of "+strings.Join(namesOf(order), ", "))
	return nil
}
