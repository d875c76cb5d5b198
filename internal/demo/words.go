package demo

import (
	"fmt"
	"strings"

	"quorate/api/client"
)

// routine are the beginnings of what the agents say all the time, in Patroni's words: that all is as it was.
var routine = []string{"no action.", "an operation is in progress", "updated leader lock during", "waiting to compare the WAL"}

// news says whether a decision is worth a line.
func (d decision) news() bool {
	for _, r := range routine {
		if strings.HasPrefix(d.Text, r) {
			return false
		}
	}
	return d.Text != ""
}

// changes says in words what is new in a view of the cluster.
func changes(was, is client.Cluster) []string {
	var out []string
	old, leader := was.Leader(), is.Leader()
	open := func(m *client.Member) bool { return m != nil && m.State == "running" }
	if open(leader) && (!open(old) || old.Name != leader.Name) {
		out = append(out, leader.Name+" is the primary")
	}
	for _, m := range is.Members {
		before := was.Member(m.Name)
		if m.State == "streaming" && leader != nil && (before == nil || before.State != "streaming" || before.Timeline != m.Timeline) {
			out = append(out, fmt.Sprintf("%s streams from %s", m.Name, leader.Name))
		}
	}
	return out
}
