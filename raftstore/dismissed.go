package raftstore

import (
	"context"
	"maps"
	"slices"
	"time"
)

// A member that was away when it was removed hears of it from nobody: the leader sends it nothing more, and the others answer none of its requests for votes.
// It would stand for election for ever, and clients that are sent to it would wait. So a member that has known no leader for a while asks the
// leader that the others know whether it is still listed.

const (
	// dismissedAfter is how long there is no leader before the others are asked, and how often they are, in election timeouts.
	dismissedAfter = 6
	// dismissedAnswers are so many answers in a row, from a leader that a quorum had just confirmed, until the member believes them: a leader that is deposed
	// before the removal is committed may have said the first.
	dismissedAnswers = 2
)

// dismissal is what a member knows of its own removal. Its zero value is ready.
type dismissal struct {
	next    time.Duration // when the others are asked, by the store's clock; 0 while there is a leader
	answers int
	told    map[string]bool // addresses of which it was said that another cluster is there
}

// ended asks, when it is time to, and says whether this member was removed while it was away.
func (d *dismissal) ended(s *Store, n *node) bool {
	every := dismissedAfter * s.opts.ElectionTimeout
	switch now := s.mono(); {
	case s.Leader() != 0:
		*d = dismissal{}
		return false
	case d.next == 0:
		d.next = now + every
		return false
	case now < d.next:
		return false
	default:
		d.next = now + every
	}
	if listed, known := d.ask(s, n); listed || !known {
		d.answers = 0
	} else {
		d.answers++
	}
	return d.answers >= dismissedAnswers
}

// ask asks the leader that the others know; known is false when there is none that can answer.
func (d *dismissal) ask(s *Store, n *node) (listed, known bool) {
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	addrs := map[string]bool{} // the cluster may have moved from where the configuration of this host says
	for _, p := range s.opts.Peers() {
		addrs[p.PeerAddr] = true
	}
	for _, srv := range n.servers() {
		addrs[hostPort(srv.Address)] = true
	}
	delete(addrs, s.PeerAddr())
	delete(addrs, "")
	for _, h := range s.greetAll(ctx, slices.Collect(maps.Keys(addrs))) {
		if h.Cluster != s.ClusterID() {
			d.stranger(s, h)
			continue
		}
		if h.Leader == "" {
			continue
		}
		var w writer
		w.u64(s.ID())
		b, err := s.conns.call(ctx, 0, h.Leader, methodListed, w)
		if err != nil {
			continue
		}
		r := reader{buf: b}
		listed := r.bool()
		if r.done("answer") == nil {
			return listed, true
		}
	}
	return false, false
}

// stranger says, once for each address, that a member of another cluster is where this cluster's was: one of them was made anew, by recovery or by a
// restore, and this one's folder is from before.
func (d *dismissal) stranger(s *Store, h hello) {
	if h.Cluster == 0 || d.told[h.Member.PeerAddr] {
		return
	}
	if d.told == nil {
		d.told = map[string]bool{}
	}
	d.told[h.Member.PeerAddr] = true
	s.log.Warn("there is no leader, and a host that this cluster knew is a member of another one; if that is the one to be in, stop this member, empty its folder and start it",
		"peer", h.Member.PeerAddr, "its_cluster", FormatID(h.Cluster), "own_cluster", FormatID(s.ClusterID()), "folder", s.opts.Dir)
}

// handleListed answers a member that asks whether the cluster still has it. Only the leader does, once a quorum has confirmed that it leads.
func (s *Store) handleListed(ctx context.Context, n *node, body []byte) ([]byte, error) {
	r := reader{buf: body}
	id := r.u64()
	if err := r.done("question"); err != nil {
		return nil, err
	}
	if _, err := s.leaderIndex(ctx, n); err != nil {
		return nil, err
	}
	var w writer
	w.bool(n.listed(serverID(id)))
	return w, nil
}
