package raftstore

import (
	"context"
	"sync"

	"github.com/hashicorp/raft"
)

// Healthy asks every member whether it is there, and tells which are: those that answer, belong to this cluster and know of a leader. It takes
// as long as the slowest answer, twice an election timeout at most.
func (s *Store) Healthy(ctx context.Context) map[uint64]bool {
	well := map[uint64]bool{}
	n := s.node.Load()
	if n == nil {
		return well
	}
	ctx, cancel := context.WithTimeout(ctx, 2*s.opts.ElectionTimeout)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, srv := range n.servers() {
		wg.Go(func() {
			ok := s.answers(ctx, srv)
			mu.Lock()
			defer mu.Unlock()
			well[memberID(srv.ID)] = ok
		})
	}
	wg.Wait()
	return well
}

func (s *Store) answers(ctx context.Context, srv raft.Server) bool {
	id := memberID(srv.ID)
	if id == s.ID() {
		return s.Health() == nil
	}
	b, err := s.conns.call(ctx, id, hostPort(srv.Address), methodHello, nil)
	if err != nil {
		return false
	}
	h, err := decodeJSON[hello](b)
	return err == nil && h.Member.ID == id && h.Cluster == s.ClusterID() && h.Leader != ""
}
