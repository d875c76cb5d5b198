package ctl

import (
	"strings"

	"quorate/api/client"
)

// Tree puts members into the order of replication, each below the one that it streams from (the tag replicatefrom, else the leader),
// with a mark of its depth before its name. A ring of tags hangs below the leader.
func Tree(members []client.Member) []client.Member {
	replicas := map[string]bool{}
	root := -1
	for i, m := range members {
		switch {
		case !m.IsLeader():
			replicas[m.Name] = true
		case root < 0:
			root = i
		}
	}
	below := map[string][]client.Member{}
	for _, m := range members {
		if m.IsLeader() {
			continue
		}
		from, _ := m.Tags["replicatefrom"].(string)
		if from == m.Name || !replicas[from] || inRing(members, m.Name) {
			from = ""
		}
		below[from] = append(below[from], m)
	}
	var out []client.Member
	var add func(depth int, parent string)
	add = func(depth int, parent string) {
		for _, m := range below[parent] {
			name := m.Name
			if depth > 0 {
				m.Name = strings.Repeat("  ", depth-1) + "+ " + name
			}
			out = append(out, m)
			add(depth+1, name)
		}
	}
	if root >= 0 {
		out = append(out, members[root])
	}
	add(1, "")
	return out
}

// inRing says whether following replicatefrom from a member leads back to it.
func inRing(members []client.Member, name string) bool {
	from := map[string]string{}
	for _, m := range members {
		if to, ok := m.Tags["replicatefrom"].(string); ok {
			from[m.Name] = to
		}
	}
	at := from[name]
	for range members {
		if at == name {
			return true
		}
		at = from[at]
	}
	return false
}
