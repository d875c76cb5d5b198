package ha

import (
	"slices"

	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// Whom a standby streams from: the leader, the member that the tag replicatefrom names, or nobody (nostream).

// source is whom this node is to stream from while l leads.
func (d *decider) source() Upstream {
	up := d.upstream()
	if d.s.Self.NoStream {
		return Upstream{Term: up.Term}
	}
	if r, ok := d.cascade(); ok {
		return Upstream{Name: r.Name, Conn: r.ConnURL, Term: up.Term}
	}
	return up
}

// cascade is the member that this node streams from in place of the leader. That member must itself take its log from the present term: a
// standby which was out of reach at the change of the primary may still follow the old one, and what this node has pledged not to take would
// come by way of it. While it streams nothing for a moment whoever follows it stays.
func (d *decider) cascade() (dcs.Member, bool) {
	r, ok := d.upstreamMember(d.s.Self.Name, d.s.Self.ReplicateFrom)
	if !ok || r.ConnURL == "" {
		return r, false
	}
	f := d.s.PG.Following
	stays := r.FollowingTerm == 0 && f.Name == r.Name && f.Conn == r.ConnURL && f.Term == d.cluster.Leader.Term
	return r, stays || d.relays(r)
}

// relays says whether a standby takes its log from the present term, by streaming.
func (d *decider) relays(r dcs.Member) bool {
	return r.FollowingTerm == d.cluster.Leader.Term.Rev || !r.IsQuorate() && d.streamsOnLeadersTimeline(r)
}

// streamsOnLeadersTimeline is what can be known of a member that is run by Patroni.
func (d *decider) streamsOnLeadersTimeline(r dcs.Member) bool {
	lead, _ := d.cluster.Member(d.cluster.LeaderName())
	return r.ReplicationState == "streaming" && r.Timeline != 0 && r.Timeline == lead.Timeline
}

// upstreamMember is the running standby that a member is told to stream from by its tag; false where the leader serves instead: there is no
// such member, it leads or does not run, or the tags lead round in a circle.
func (d *decider) upstreamMember(name, from string) (dcs.Member, bool) {
	r, ok := d.cluster.Member(from)
	if from == "" || !ok || from == name || from == d.cluster.LeaderName() || r.State != "running" || r.Role != "replica" {
		return r, false
	}
	seen := []string{name}
	for next, ok := r, true; ok; {
		if slices.Contains(seen, next.Name) {
			return r, next.Name != name
		}
		seen = append(seen, next.Name)
		if next.Name == d.cluster.LeaderName() {
			break
		}
		next, ok = d.cluster.Member(tagText(next.Tags, "replicatefrom"))
	}
	return r, true
}

// cascades says whether a member takes its log from another one than the leader, or from nobody.
func (d *decider) cascades(m dcs.Member) bool {
	_, yes := d.upstreamMember(m.Name, tagText(m.Tags, "replicatefrom"))
	return yes || tagTrue(m.Tags, "nostream")
}

func tagText(tags map[string]any, name string) string {
	s, _ := tags[name].(string)
	return s
}

// wantSlots are the slots of those who stream from this node. A leader keeps those of all its members and, while their hosts are away, of the
// roster: a slot that is dropped too early costs a new clone, and max_slot_wal_keep_size bounds what it can cost to keep one. A member that
// cascades is among them: when its upstream is lost it comes to the leader, which must have its log.
func (d *decider) wantSlots() []string {
	names := map[string]bool{}
	if d.s.holdsKey() {
		for n := range d.cluster.Roster {
			names[n] = true
		}
	}
	for _, m := range d.cluster.Members {
		r, cascades := d.upstreamMember(m.Name, tagText(m.Tags, "replicatefrom"))
		switch {
		case tagTrue(m.Tags, "nostream"):
			delete(names, m.Name)
		case d.s.holdsKey(), cascades && r.Name == d.s.Self.Name:
			names[m.Name] = true
		}
	}
	delete(names, d.s.Self.Name)
	var out []string
	for n := range names {
		out = append(out, postgres.SlotName(n))
	}
	return sorted(out)
}

// cascadePositions are how far the members have the log that stream from another one than this leader: their slots here are moved that far, since
// nobody else moves them. While the store is away the members tell it in their answers to a primary in failsafe mode.
func (d *decider) cascadePositions() map[string]postgres.LSN {
	out := map[string]postgres.LSN{}
	var told map[string]postgres.LSN
	if f := d.s.Failsafe; f.Term == d.s.Fence.Term && f.Sent.After(d.s.Store.SeenAt) {
		told = f.LSNs
	}
	for _, m := range d.cluster.Members {
		r, cascades := d.upstreamMember(m.Name, tagText(m.Tags, "replicatefrom"))
		if cascades && d.relays(r) && !tagTrue(m.Tags, "nostream") && m.Name != d.s.Self.Name {
			out[postgres.SlotName(m.Name)] = max(postgres.LSN(max(m.XLogLocation, 0)), told[m.Name])
		}
	}
	return out
}
