package raftstore

import (
	"context"
	"fmt"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/pkg/v3/traceutil"
	"go.etcd.io/etcd/server/v3/auth"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/etcdserver/txn"
	"go.etcd.io/etcd/server/v3/lease"
	"google.golang.org/protobuf/proto"

	"quorate/raftstore/v2keys"
	"quorate/raftstore/v2users"
)

// entry is a committed command.
type entry struct {
	Index, Term uint64
	Data        []byte
}

// outcome is what applying a command gave: a response or an error, both the same on every replica.
type outcome struct {
	msg proto.Message
	err error
	v2  *v2keys.Result // of a v2 command

	v2users *v2users.Result // of a change of the v2 API's users
}

// apply executes one command. The error beside the outcome means that this replica cannot go on.
func (s *state) apply(e entry) (outcome, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(e.Data) == 0 {
		return outcome{}, fmt.Errorf("%w: entry %d is empty", ErrUnknownEntry, e.Index)
	}
	out, err := s.dispatch(kind(e.Data[0]), e, e.Data[1:])
	if err != nil {
		return outcome{}, fmt.Errorf("apply entry %d: %w", e.Index, err)
	}
	s.setApplied(e.Index)
	// The quota counts what is in the file, so a burst must not stay in memory for long.
	if s.unwritten += len(e.Data); s.unwritten >= maxUnwritten {
		s.unwritten = 0
		s.be.ForceCommit()
	}
	return out, nil
}

// maxUnwritten is after how many bytes of log entries the backend's file is written, whatever backendPause says.
const maxUnwritten = 1 << 20

// setApplied notes the position in the log. It goes into the file when a copy is taken, between two entries: nothing else is ever read back.
func (s *state) setApplied(index uint64) { s.applied = index }

func (s *state) dispatch(k kind, e entry, body []byte) (outcome, error) {
	switch k {
	case kindEtcd:
		var r pb.InternalRaftRequest
		if err := proto.Unmarshal(body, &r); err != nil {
			return outcome{}, fmt.Errorf("decode request: %w", err)
		}
		return s.applyEtcd(&r, e.Index), nil
	case kindTermStart:
		t, err := decodeTermStart(body)
		if err == nil && s.onTermStart != nil {
			s.onTermStart(t, e.Term)
		}
		return outcome{}, err
	case kindFound:
		return outcome{}, s.applyFounding(body)
	case kindExpire:
		x, err := decodeExpiry(body)
		if err != nil {
			return outcome{}, err
		}
		_, err = s.lessor.expire(x, e.Term)
		return outcome{}, err
	case kindMember:
		r := reader{buf: body}
		m := readMember(&r)
		if err := r.done("member record"); err != nil {
			return outcome{}, err
		}
		s.putMember(m)
		return outcome{}, nil
	case kindV2:
		return s.applyV2(body)
	case kindV2Users:
		return s.applyV2Users(body)
	case kindMemberGone:
		r := reader{buf: body}
		id := r.u64()
		s.deleteMember(id)
		return outcome{}, r.done("member removal")
	}
	return outcome{}, fmt.Errorf("%w %d: run the version that the other hosts run", ErrUnknownEntry, k)
}

func (s *state) applyFounding(body []byte) error {
	f, err := decodeFounding(body)
	if err != nil || s.cluster != f.Replaces {
		return err
	}
	s.cluster = f.ClusterID
	s.putState(clusterKey, f.ClusterID)
	for _, m := range f.Members {
		if _, ok := s.members[m.ID]; !ok {
			s.putMember(m)
		}
	}
	return nil
}

func (s *state) putMember(m Member) {
	var w writer
	m.write(&w)
	s.members[m.ID] = m
	tx := s.be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	tx.UnsafePut(memberBucket, u64Key(m.ID), w)
}

func (s *state) deleteMember(id uint64) {
	delete(s.members, id)
	tx := s.be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	tx.UnsafeDelete(memberBucket, u64Key(id))
}

// applyEtcd executes what etcd's API asked for, as etcd's own appliers do: permission, alarms, then the deed. Nothing
// here may depend on anything but the state and the request, a local file's size included.
func (s *state) applyEtcd(r *pb.InternalRaftRequest, index uint64) outcome {
	if err := wellFormed(r); err != nil {
		return outcome{err: err}
	}
	who := &auth.AuthInfo{}
	if r.Header != nil {
		who.Username, who.Revision = r.Header.Username, r.Header.AuthRevision
	}
	if err := s.permit(who, r); err != nil {
		return outcome{err: err}
	}
	if err := s.admit(r); err != nil {
		return outcome{err: err}
	}
	if out, ok := s.applyAuth(r, index); ok {
		return out
	}
	return s.applyKV(r, index)
}

func (s *state) applyKV(r *pb.InternalRaftRequest, index uint64) (out outcome) {
	switch {
	case r.Put != nil:
		resp, _, err := txn.Put(background, s.lg, s.lessor, s.kv, r.Put)
		return result(resp, err)
	case r.DeleteRange != nil:
		resp, _, err := txn.DeleteRange(background, s.lg, s.kv, r.DeleteRange)
		return result(resp, err)
	case r.Txn != nil:
		resp, _, err := txn.Txn(background, s.lg, r.Txn, true, s.kv, s.lessor, false)
		return result(resp, err)
	case r.Compaction != nil:
		return s.compact(r.Compaction)
	case r.LeaseGrant != nil:
		ttl, err := s.lessor.grantAt(r.LeaseGrant.ID, r.LeaseGrant.TTL, index)
		return result(&pb.LeaseGrantResponse{Header: s.header(), ID: r.LeaseGrant.ID, TTL: ttl}, err)
	case r.LeaseRevoke != nil:
		err := s.lessor.Revoke(lease.LeaseID(r.LeaseRevoke.ID))
		return result(&pb.LeaseRevokeResponse{Header: s.header()}, err)
	case r.Alarm != nil:
		return result(s.alarm(r.Alarm), nil)
	}
	// A request that etcd has and this version does not execute: every replica of this version answers the same.
	return outcome{err: etcderrors.ErrUnknownMethod}
}

func result[R proto.Message](resp R, err error) outcome {
	if err != nil {
		return outcome{err: err}
	}
	return outcome{msg: resp}
}

func (s *state) compact(r *pb.CompactionRequest) outcome {
	done, err := s.kv.Compact(traceutil.Get(context.Background()), r.Revision)
	if err != nil {
		return outcome{err: err}
	}
	s.compacting = done
	return outcome{msg: &pb.CompactionResponse{Header: s.header()}}
}

// compacted waits until the newest compaction has deleted what it dropped.
func (s *state) compacted(ctx context.Context) error {
	s.mu.RLock()
	done := s.compacting
	s.mu.RUnlock()
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *state) header() *pb.ResponseHeader { return &pb.ResponseHeader{Revision: s.kv.Rev()} }

// alarm raises or clears an alarm. Member 0 with DEACTIVATE and no kind clears nothing, as in etcd: a client names each.
func (s *state) alarm(r *pb.AlarmRequest) *pb.AlarmResponse {
	resp := &pb.AlarmResponse{Header: s.header()}
	var m *pb.AlarmMember
	switch {
	case r.Action == pb.AlarmRequest_ACTIVATE && r.Alarm != pb.AlarmType_NONE:
		m = s.alarms.Activate(types.ID(r.MemberID), r.Alarm)
	case r.Action == pb.AlarmRequest_DEACTIVATE:
		m = s.alarms.Deactivate(types.ID(r.MemberID), r.Alarm)
	}
	if m != nil {
		resp.Alarms = append(resp.Alarms, m)
	}
	return resp
}

// admit refuses what grows the data while an alarm stands: NOSPACE stops puts and grants, CORRUPT stops all writes.
func (s *state) admit(r *pb.InternalRaftRequest) error {
	if len(s.alarms.Get(pb.AlarmType_CORRUPT)) > 0 && writesKeys(r) {
		return etcderrors.ErrCorrupt
	}
	if len(s.alarms.Get(pb.AlarmType_NOSPACE)) > 0 && cost(r) > 0 {
		return etcderrors.ErrNoSpace
	}
	return nil
}

func writesKeys(r *pb.InternalRaftRequest) bool {
	return r.Put != nil || r.DeleteRange != nil || r.Txn != nil || r.Compaction != nil ||
		r.LeaseGrant != nil || r.LeaseRevoke != nil
}

// sortedMembers orders records by id.
func sortedMembers(list []Member) []Member {
	slices.SortFunc(list, func(a, b Member) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	})
	return list
}
