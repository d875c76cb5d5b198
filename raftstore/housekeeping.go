package raftstore

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/hashicorp/raft"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

const (
	// housekeepingPeriod is how often the chores are looked at.
	housekeepingPeriod = 500 * time.Millisecond
	// minTrailing and maxTrailing bound the entries that stay behind a snapshot, whatever their size.
	minTrailing = 64
	maxTrailing = snapshotEntries
	// clearSpaceBelow is the part of the quota, in tenths, below which the alarm for want of space is taken back.
	clearSpaceBelow = 8
)

// sleep waits; false when the store ended meanwhile.
func (s *Store) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-s.ctx.Done():
		return false
	}
}

// housekeeping does the chores that need no one to ask for them.
func (s *Store) housekeeping() {
	var history revisionHistory
	var burst burst
	var dismissal dismissal
	orphans := map[uint64]time.Duration{}
	for s.sleep(housekeepingPeriod) {
		n := s.node.Load()
		if n == nil {
			continue
		}
		s.boundLog(n)
		if burst.over(s.state.progress.current()) {
			debug.FreeOSMemory()
		}
		s.metrics.observe(s, n)
		s.tellAddress(n)
		if s.removed(n) || dismissal.ended(s, n) {
			s.fail(ErrRemoved)
			return
		}
		if !s.IsLeader() {
			history = revisionHistory{}
			clear(orphans)
			continue
		}
		s.promoteLearners(n)
		s.dropRecords(n, orphans)
		s.compactHistory(&history)
		s.clearSpaceAlarm()
	}
}

// burst tells when many entries were applied and then hardly any: what they took of memory is given back then. The store shares its host with a database, whose
// cache has better use for it; Go's runtime alone keeps it for minutes.
type burst struct {
	began, last uint64 // log indexes: of the last release, and of the last look
	quiet       int    // looks in a row with hardly any entries
}

const (
	burstEntries = 5000 // so many entries are a burst
	calmEntries  = 50   // so many between two looks are hardly any
	calmLooks    = 6    // so long it must be calm
)

// over is asked at each look.
func (b *burst) over(index uint64) bool {
	if b.began == 0 {
		b.began = index
	}
	if index-b.last > calmEntries {
		b.quiet = 0
	} else {
		b.quiet++
	}
	b.last = index
	if b.quiet < calmLooks || index-b.began < burstEntries {
		return false
	}
	b.began, b.quiet = index, 0
	return true
}

// removed says whether this member was taken out of the configuration that it knows.
func (s *Store) removed(n *node) bool {
	servers := n.servers()
	return len(servers) > 0 && !n.listed(n.self) && s.caughtUp.Load()
}

// boundLog keeps the log that stays behind a snapshot, and the log itself, within their bytes.
func (s *Store) boundLog(n *node) {
	keep := trailing(s.logs.tail(s.opts.TrailingBytes))
	if c := n.raft.ReloadableConfig(); c.TrailingLogs != keep {
		c.TrailingLogs = keep
		if err := n.raft.ReloadConfig(c); err != nil {
			s.log.Warn("setting the length of the log failed", "error", err)
		}
	}
	last := uint64(0)
	if list, err := n.snaps.List(); err == nil && len(list) > 0 {
		last = list[0].Index
	}
	limit := s.opts.TrailingBytes
	if s.opts.hooks.snapshotBytes > 0 {
		limit = s.opts.hooks.snapshotBytes
	}
	if s.logs.bytesAfter(last) > limit && s.mono() >= s.snapshotAfter {
		if err := n.raft.Snapshot().Error(); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			s.log.Warn("no snapshot yet, the log grows until there is one", "error", err)
			s.snapshotAfter = s.mono() + snapshotPause
		}
	}
}

// trailing is how many entries stay behind a snapshot when the newest n fit into the bytes allowed, all if all is set. It
// moves in steps, since Raft's goroutine wakes at each change.
func trailing(n uint64, all bool) uint64 {
	if all {
		return maxTrailing
	}
	return min(max(n/minTrailing*minTrailing, minTrailing), maxTrailing)
}

// promoteLearners makes voters of learners that want to be and keep up, one at a time.
func (s *Store) promoteLearners(n *node) {
	for _, srv := range n.servers() {
		m, ok := s.state.member(memberID(srv.ID))
		if srv.Suffrage == raft.Voter || !ok || !m.WantVote || m.Name == "" || !s.inSync(n, srv.ID) {
			continue
		}
		if err := s.changed(n.raft.AddVoter(srv.ID, srv.Address, 0, changeTimeout)); err != nil {
			s.log.Info("promoting a learner failed", "member", string(srv.ID), "error", err)
			return
		}
		s.log.Info("learner promoted", "member", string(srv.ID), "name", m.Name)
		return
	}
}

// dropRecords deletes records of members that are gone, left by a leader that removed itself or died between.
// A record without a server may also be one whose server is just being added, so it is given time.
func (s *Store) dropRecords(n *node, orphans map[uint64]time.Duration) {
	for _, m := range s.state.memberList() {
		if n.listed(serverID(m.ID)) {
			delete(orphans, m.ID)
			continue
		}
		since, seen := orphans[m.ID]
		if !seen {
			orphans[m.ID] = s.mono()
		}
		if !seen || s.mono()-since < 2*changeTimeout {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
		_, err := s.applyLocal(ctx, n, encodeMemberGone(m.ID))
		cancel()
		if err != nil {
			return
		}
	}
}

// snapshotPause is the time between a snapshot that failed, for want of room most likely, and the next attempt.
const snapshotPause = 15 * time.Second

// raiseNoSpace raises the alarm that the quota is used up, as this member's.
func (s *Store) raiseNoSpace() {
	if s.state.alarmed(pb.AlarmType_NOSPACE) || !s.raising.CompareAndSwap(false, true) {
		return
	}
	s.log.Error("the store's quota is used up; writes are refused", "quota", s.opts.QuotaBytes,
		"remedy", "delete keys and compact, or raise the quota")
	s.wg.Go(func() {
		defer s.raising.Store(false)
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
		defer cancel()
		s.alarm(ctx, pb.AlarmRequest_ACTIVATE, s.ID(), pb.AlarmType_NOSPACE)
	})
}

func (s *Store) alarm(ctx context.Context, action pb.AlarmRequest_AlarmAction, member uint64, kind pb.AlarmType) {
	cmd, err := encodeEtcd(&pb.InternalRaftRequest{Alarm: &pb.AlarmRequest{
		Action: action, MemberID: member, Alarm: kind,
	}})
	if err == nil {
		_, err = s.submit(ctx, cmd)
	}
	if err != nil {
		s.log.Warn("changing an alarm failed", "alarm", kind, "error", err)
	}
}

// clearSpaceAlarm takes the alarm back when there is room again. etcd waits for an operator, with the cluster refusing all
// writes meanwhile (etcd#13716).
func (s *Store) clearSpaceAlarm() {
	alarms := s.state.alarmStore().Get(pb.AlarmType_NOSPACE)
	if len(alarms) == 0 || s.opts.QuotaBytes < 0 {
		return
	}
	s.state.settleSize()
	if _, inUse := s.state.size(); inUse > s.opts.QuotaBytes/10*clearSpaceBelow {
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
	defer cancel()
	for _, a := range alarms {
		s.alarm(ctx, pb.AlarmRequest_DEACTIVATE, a.MemberID, pb.AlarmType_NOSPACE)
	}
}
