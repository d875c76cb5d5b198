package gameday

import (
	"fmt"
	"slices"
	"strings"

	"quorate/api/client"
)

// maximumLag is what a replica may lag behind, in bytes, for a cluster to be whole: a failover must not lose more because of the exercise.
const maximumLag = 16 << 20

// Ailments are what is wrong with a cluster, in words: none means that every member serves and that somebody could take over. members are
// the names that have to be there; nil: whoever is listed.
func Ailments(c client.Cluster, members []string) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	leader := c.Leader()
	switch {
	case c.Pause:
		say("the cluster is paused")
	case leader == nil:
		say("the cluster has no leader")
	case leader.Role == "standby_leader":
		say("this is a standby cluster: it takes no writes that could be watched")
	}
	if c.ScheduledSwitchover != nil {
		say("a switchover is scheduled for %s", c.ScheduledSwitchover.At)
	}
	for _, name := range members {
		if c.Member(name) == nil {
			say("member %s is not listed", name)
		}
	}
	candidates := 0
	for _, m := range c.Members {
		if m.ScheduledRestart != nil {
			say("a restart of %s is scheduled for %s", m.Name, m.ScheduledRestart.Schedule)
		}
		if why := unfit(m, leader); why != "" {
			say("member %s %s", m.Name, why)
		} else if !m.IsLeader() && !m.NoFailover() {
			candidates++
		}
	}
	if candidates == 0 {
		say("no replica could take over")
	}
	return out
}

// unfit says what keeps one member from serving.
func unfit(m client.Member, leader *client.Member) string {
	switch {
	case m.IsLeader():
		if m.State != "running" {
			return "leads and is " + m.State
		}
	case m.State != "streaming":
		return "does not stream: it is " + m.State
	case leader != nil && m.Timeline != leader.Timeline:
		return fmt.Sprintf("is on timeline %d, the leader on %d", m.Timeline, leader.Timeline)
	case m.Lag.Known && m.Lag.Bytes > maximumLag:
		return fmt.Sprintf("lags %d MB behind", m.Lag.Bytes>>20)
	}
	return ""
}

// successor is the replica that a planned change of the primary names: one that commits wait for before others, then the first by name.
func successor(c client.Cluster) string {
	var fit []client.Member
	for _, m := range c.Members {
		if !m.IsLeader() && !m.NoFailover() && m.State == "streaming" {
			fit = append(fit, m)
		}
	}
	slices.SortFunc(fit, func(a, b client.Member) int {
		sa, sb := strings.HasSuffix(a.Role, "_standby"), strings.HasSuffix(b.Role, "_standby")
		if sa != sb {
			if sa {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	if len(fit) == 0 {
		return ""
	}
	return fit[0].Name
}

func names(c client.Cluster) []string {
	out := make([]string, len(c.Members))
	for i, m := range c.Members {
		out[i] = m.Name
	}
	return out
}
