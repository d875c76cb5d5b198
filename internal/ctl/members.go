package ctl

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"quorate/api/client"
)

// Cluster is a cluster as the commands show it.
type Cluster struct {
	client.Cluster
	Name string
	// Initialize is the system identifier; "initializing" while a node founds the cluster, "uninitialized" before.
	Initialize string
}

// Columns of the member list that are shown only when a member has something there, or on request.
const (
	pendingRestart   = "Pending restart"
	restartReason    = "Pending restart reason"
	scheduledRestart = "Scheduled restart"
	tagsColumn       = "Tags"
)

// longestReason is how long the change of a parameter may be in a pretty table.
const longestReason = 50

// Members is the member list of a cluster, in a format: patronictl's `list` and `topology`.
func Members(c Cluster, f Format, extended bool) string {
	s := Sheet{
		Title: fmt.Sprintf(" Cluster: %s (%s) ", c.Name, c.Initialize),
		Columns: []string{"Cluster", "Member", "Host", "Role", "State", "TL", "Receive LSN", "Receive Lag", "Replay LSN",
			"Replay Lag"},
		Right:     []string{"Receive LSN", "Replay LSN", "Lag", "TL"},
		SkipEmpty: true,
	}
	extra := extraColumns(c, extended)
	s.Columns = append(s.Columns, extra...)
	members := c.Members
	if f == Topology {
		members = Tree(members)
	}
	withPort := ambiguousHosts(c.Members)
	for _, m := range members {
		row := []any{c.Name, m.Name, host(m, withPort), title(m.Role), m.State, orEmpty(m.Timeline)}
		row = append(row, positions(m)...)
		for _, column := range extra {
			row = append(row, extraCell(m, column, f))
		}
		s.Rows = append(s.Rows, row)
	}
	if f != Pretty && f != Topology {
		return s.Render(f)
	}
	return s.withoutCluster().Render(f) + Footer(c)
}

// withoutCluster takes out the first column, which the title shows, and gives both lags the short name that fits beside their LSN.
func (s Sheet) withoutCluster() Sheet {
	s.Columns = slices.Clone(s.Columns[1:])
	for i, c := range s.Columns {
		if c == "Receive Lag" || c == "Replay Lag" {
			s.Columns[i] = "Lag"
		}
	}
	rows := make([][]any, len(s.Rows))
	for i := range s.Rows {
		rows[i] = s.Rows[i][1:]
	}
	s.Rows = rows
	return s
}

// extraColumns are those in which a member has something; all on request.
func extraColumns(c Cluster, extended bool) []string {
	var out []string
	for _, column := range []string{pendingRestart, restartReason, scheduledRestart, tagsColumn} {
		filled := slices.ContainsFunc(c.Members, func(m client.Member) bool { return !empty(extraCell(m, column, Pretty)) })
		if extended || filled {
			out = append(out, column)
		}
	}
	return out
}

func extraCell(m client.Member, column string, f Format) any {
	switch column {
	case pendingRestart:
		if m.PendingRestart {
			return "*"
		}
	case restartReason:
		return reasons(m, f)
	case scheduledRestart:
		if r := m.ScheduledRestart; r != nil {
			if r.PostgresVersion != "" {
				return r.Schedule + " if version < " + r.PostgresVersion
			}
			return r.Schedule
		}
	case tagsColumn:
		if len(m.Tags) > 0 {
			return m.Tags
		}
	}
	return ""
}

// reasons are the parameters that wait for a restart, one a line.
func reasons(m client.Member, f Format) string {
	names := make([]string, 0, len(m.PendingRestartReason))
	for name := range m.PendingRestartReason {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		v := m.PendingRestartReason[name]
		line := name + ": " + v.OldValue + "->" + v.NewValue
		if len(line) > longestReason && (f == Pretty || f == Topology) {
			line = name + ": [hidden - too long]"
		}
		names[i] = line
	}
	return strings.Join(names, "\n")
}

// ambiguousHosts says whether hosts need their port: one is unusual, or two members share a host.
func ambiguousHosts(members []client.Member) bool {
	seen := map[string]bool{}
	for _, m := range members {
		if m.Host == "" {
			continue
		}
		if m.Port != 0 && m.Port != 5432 || seen[m.Host] {
			return true
		}
		seen[m.Host] = true
	}
	return false
}

func host(m client.Member, withPort bool) string {
	if withPort && m.Host != "" && m.Port != 0 {
		return fmt.Sprintf("%s:%d", m.Host, m.Port)
	}
	return m.Host
}

// title is a role as it is shown: sync_standby becomes Sync Standby.
func title(role string) string {
	words := strings.Split(role, "_")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

func orEmpty(n int) any {
	if n == 0 {
		return ""
	}
	return n
}

// positions are the received and the replayed LSN and how many MB each is behind. Members that do not tell the two apart (before
// 4.1) give one of them by their state.
func positions(m client.Member) []any {
	if m.IsLeader() {
		return []any{"", "", "", ""}
	}
	receive, receiveLag, replay, replayLag := m.ReceiveLSN, m.ReceiveLag, m.ReplayLSN, m.ReplayLag
	old := (receive == "" || receive == "unknown") && (replay == "" || replay == "unknown")
	switch {
	case old && m.State == "streaming" && m.LSN != "unknown":
		receive, receiveLag = m.LSN, m.Lag
	case old && m.LSN != "unknown":
		replay, replayLag = m.LSN, m.Lag
	}
	return []any{receive, megabytes(receiveLag), replay, megabytes(replayLag)}
}

func megabytes(l client.Lag) any {
	if !l.Known {
		return ""
	}
	return int64(math.RoundToEven(float64(l.Bytes) / (1 << 20)))
}

// Footer is what stands below the table: pause and a switchover to come.
func Footer(c Cluster) string {
	var b strings.Builder
	if c.Pause {
		b.WriteString(" Maintenance mode: on\n")
	}
	if s := c.ScheduledSwitchover; s != nil {
		b.WriteString(" Switchover scheduled at: " + s.At + "\n")
		for _, line := range []struct{ name, value string }{{"from", s.From}, {"to", s.To}} {
			if line.value != "" {
				fmt.Fprintf(&b, "%24s: %s\n", line.name, line.value)
			}
		}
	}
	return b.String()
}
