package raftstore

import (
	"context"
	"errors"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// compactEvery is how often history is compacted at most: compaction costs more than the revisions that gather meanwhile.
const compactEvery = 5 * time.Minute

// hardRetain is by how much the number of retained revisions may be exceeded while they are younger than the period.
const hardRetain = 10

// revisionHistory remembers which revision was current when, so that "older than an hour" can be told. Times are monotonic.
type revisionHistory struct {
	marks []revisionMark
	last  time.Duration // of the last compaction
}

type revisionMark struct {
	at  time.Duration
	rev int64
}

// note records the present revision, at most one per minute.
func (h *revisionHistory) note(now time.Duration, rev int64, period time.Duration) {
	if n := len(h.marks); n == 0 || now-h.marks[n-1].at >= time.Minute {
		h.marks = append(h.marks, revisionMark{at: now, rev: rev})
	}
	for len(h.marks) > 1 && now-h.marks[1].at >= period {
		h.marks = h.marks[1:] // keep the newest one that is old enough
	}
}

// target is the revision to compact at: below the newest retain ones and older than the period, or beyond what may
// gather even within the period. 0 for none.
func (h *revisionHistory) target(now time.Duration, rev, retain int64, period time.Duration) int64 {
	old := int64(0)
	if len(h.marks) > 0 && now-h.marks[0].at >= period {
		old = h.marks[0].rev
	}
	if retain == 0 {
		return old
	}
	return max(0, min(old, rev-retain), rev-hardRetain*retain)
}

// compactHistory compacts, on the leader, what auto-compaction need not keep.
func (s *Store) compactHistory(h *revisionHistory) {
	if s.opts.RetainPeriod < 0 {
		return
	}
	now, rev := s.mono(), s.state.revision()
	h.note(now, rev, s.opts.RetainPeriod)
	retain := s.opts.RetainRevisions
	if s.opts.RetainPeriodOnly {
		retain = 0
	}
	target := h.target(now, rev, retain, s.opts.RetainPeriod)
	if target <= max(0, s.state.kv.FirstRev()) || (h.last != 0 && now-h.last < compactEvery) {
		return
	}
	h.last = now
	cmd, err := encodeEtcd(&pb.InternalRaftRequest{Compaction: &pb.CompactionRequest{Revision: target}})
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	res, err := s.submit(ctx, cmd)
	if err = errors.Join(err, res.err); err != nil && !errors.Is(err, mvcc.ErrCompacted) {
		s.log.Warn("auto-compaction failed", "revision", target, "error", err)
		return
	}
	s.log.Info("history compacted", "revision", target)
}
