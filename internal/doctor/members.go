package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

var memberRules = []Rule{
	{"cluster", "a member answers, and there is a leader", nil, checkCluster},
	{"members", "every member answers", hasServers, checkMembers},
	{"redundancy", "somebody could take over", hasServers, checkRedundancy},
	{"versions", "the members run the same versions", hasServers, checkVersions},
}

func checkCluster(f *Facts) []Finding {
	c := f.Cluster
	switch {
	case c.Err != "":
		return []Finding{unknown(f.Scope, "no member of the cluster answers ("+c.Err+"): what follows is about this host alone", "")}
	case c.Leader == "" && c.Paused:
		return []Finding{danger(f.Scope, "the cluster has no leader, and is paused: nobody will be promoted by itself", "quorate resume, or quorate failover")}
	case c.Leader == "":
		return []Finding{danger(f.Scope, "the cluster has no leader", "quorate why tells each member's reason")}
	case c.Paused:
		return []Finding{warning(f.Scope, "the cluster is paused: it does not fail over", "quorate resume")}
	}
	return nil
}

func checkMembers(f *Facts) (out []Finding) {
	for _, m := range f.Cluster.Members {
		switch {
		case m.APIErr != "":
			out = append(out, warning(m.Name, "its HTTP API does not answer: "+m.APIErr, "is the host up, and quorate running there? (systemctl status quorate)"))
		case m.State != "running" && m.State != "streaming" && m.State != "in archive recovery":
			out = append(out, warning(m.Name, "its PostgreSQL is in the state "+quoted(m.State), "quorate why "+m.Name))
		case m.PendingRestart:
			out = append(out, note(m.Name, "changed parameters wait for a restart", "quorate restart "+f.Scope+" "+m.Name+" --pending"))
		}
	}
	return out
}

func quoted(s string) string { return "'" + s + "'" }

func checkRedundancy(f *Facts) []Finding {
	able := 0
	for _, m := range f.Cluster.Members {
		if !m.IsLeader() && !m.NoFailover && m.APIErr == "" && (m.State == "streaming" || m.State == "running" || m.State == "in archive recovery") {
			able++
		}
	}
	c := f.Cluster.Config
	switch {
	case able == 0 && c != nil && c.SynchronousModeStrict && c.SynchronousMode.Enabled():
		return []Finding{danger(f.Scope, "no standby is ready, and synchronous_mode_strict is on: writes wait", "bring a standby back, or quorate edit-config -s synchronous_mode_strict=false")}
	case able == 0:
		return []Finding{danger(f.Scope, "no standby is ready: the loss of the primary is an outage", "quorate list, quorate why: bring a standby back")}
	case c != nil && c.SynchronousModeStrict && c.SynchronousMode.Enabled() && able == c.SynchronousNodeCount:
		return []Finding{warning(f.Scope, fmt.Sprintf("synchronous_mode_strict wants %d standbys, and there are no more: the loss of one stops writes", c.SynchronousNodeCount), "add a standby, or turn synchronous_mode_strict off")}
	}
	return nil
}

func checkVersions(f *Facts) (out []Finding) {
	servers, products := map[int][]string{}, map[string][]string{}
	majors := map[int]bool{}
	for _, m := range f.Cluster.Members {
		if m.ServerVersion > 0 {
			servers[m.ServerVersion] = append(servers[m.ServerVersion], m.Name)
			majors[m.ServerVersion/10000] = true
		}
		if m.Product != "" {
			products[m.Product] = append(products[m.Product], m.Name)
		}
		if m.Product != "" && !m.Quorate {
			out = append(out, warning(m.Name, "it runs "+m.Product+": with it in the cluster Patroni's rules hold (no pledge before a promotion, and it is not fenced)", "replace it when you are ready (docs/migrate.md)"))
		}
	}
	switch {
	case len(majors) > 1:
		out = append(out, danger(f.Scope, "members run different major versions of PostgreSQL ("+groups(servers)+"): WAL is not exchangeable", "a standby must have the primary's major version"))
	case len(servers) > 1:
		out = append(out, note(f.Scope, "members run different minor versions of PostgreSQL ("+groups(servers)+")", "finish the update: standbys first, then a switchover"))
	}
	if len(products) > 1 {
		out = append(out, note(f.Scope, "members run different agents ("+groups(products)+")", "finish the update"))
	}
	return out
}

// groups names who has which value.
func groups[K comparable](by map[K][]string) string {
	var parts []string
	for v, names := range by {
		parts = append(parts, fmt.Sprintf("%s: %s", version(v), strings.Join(names, ", ")))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

func version(v any) string {
	n, ok := v.(int)
	if !ok {
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%d.%d", n/10000, n%10000)
}

// Bounds for clocks. Leases do not depend on the wall clock; certificates, schedules, logs and point-in-time recovery do.
const (
	clockNote = time.Second
	clockWarn = 5 * time.Second
)

var clockRules = []Rule{
	{"clock-offset", "members' clocks agree", hasServers, checkOffset},
	{"clock-sync", "the clock is synchronised, and cheap to read", nil, checkClock},
}

func checkOffset(f *Facts) (out []Finding) {
	for _, m := range f.Cluster.Members {
		if m.Clock == nil || m.Self {
			continue
		}
		off := m.Clock.Least()
		text := fmt.Sprintf("its clock is off by at least %.1f s from this host's", off.Seconds())
		remedy := "let chrony or systemd-timesyncd run on every host; failover does not depend on it, but certificates, schedules, logs and point-in-time recovery do"
		switch {
		case off >= clockWarn:
			out = append(out, warning(m.Name, text, remedy))
		case off >= clockNote:
			out = append(out, note(m.Name, text, remedy))
		}
	}
	return out
}

func checkClock(f *Facts) (out []Finding) {
	c := f.Clock
	switch {
	case !c.Known:
		out = append(out, unknown("clock", "the kernel does not tell whether the clock is synchronised", "chronyc tracking, or timedatectl"))
	case !c.Synchronised:
		out = append(out, warning("clock", "the kernel says that nobody synchronises the clock", "install chrony, or enable systemd-timesyncd"))
	}
	if slices.Contains([]string{"hpet", "acpi_pm", "jiffies", "refined-jiffies"}, c.Source) {
		out = append(out, warning("clock", "the kernel's time comes from "+c.Source+", which is slow to read: every query and every lease reads it", "find out why tsc (kvm-clock, hyperv) was given up: dmesg | grep -i clocksource"))
	}
	if c.Suspended > time.Second {
		out = append(out, note("clock", fmt.Sprintf("the host has been suspended for %s since its start; a primary that sleeps loses its lease", c.Suspended.Round(time.Second)), "turn suspend off on servers"))
	}
	return out
}
