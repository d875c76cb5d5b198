package raftstore

import (
	"context"
	"errors"
	"time"

	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
	"quorate/raftstore/v2keys"
)

// expireV2Every is how often the leader looks for v2 keys whose time has come, as etcd does.
const expireV2Every = 500 * time.Millisecond

// V2Change commits a change of the v2 key space. The error is a *v2error.Error where the key space refuses. The event's
// expirations are in cluster time, like V2Now.
func (s *Store) V2Change(ctx context.Context, r v2keys.Request) (*v2store.Event, error) {
	body, err := v2keys.Encode(r)
	if err != nil {
		return nil, err
	}
	if len(body) > MaxRequestBytes {
		return nil, etcderrors.ErrRequestTooLarge
	}
	res, err := s.submit(ctx, append([]byte{byte(kindV2)}, body...))
	if err != nil {
		return nil, err
	}
	out, err := s.v2Result(res)
	switch {
	case err != nil:
		return nil, err
	case out.Err != nil:
		return nil, out.Err
	}
	return out.Event, nil
}

func (s *Store) v2Result(res applied) (v2keys.Result, error) {
	switch {
	case res.err != nil:
		return v2keys.Result{}, res.err
	case res.v2 != nil:
		return *res.v2, nil
	}
	return v2keys.DecodeResult(res.body)
}

// V2Get reads a node; with quorum nothing that was acknowledged before the call is missing from it.
func (s *Store) V2Get(ctx context.Context, path string, recursive, sorted, quorum bool) (*v2store.Event, error) {
	if err := s.fresh(ctx, !quorum); err != nil {
		return nil, err
	}
	return s.state.v2.Get(path, recursive, sorted)
}

// V2Watch watches a node, from an index on or, with 0, from now. The watcher's channel is closed when no more will come.
func (s *Store) V2Watch(path string, recursive, stream bool, since uint64) (v2store.Watcher, error) {
	if _, err := s.serving(); err != nil {
		return nil, err
	}
	return s.state.v2.Watch(path, recursive, stream, since)
}

// V2Now is cluster time: only its distance to an event's expiration means something.
func (s *Store) V2Now() time.Time { return s.state.v2.Now(s.mono()) }

// V2Stats is the v2 key space's counters as JSON.
func (s *Store) V2Stats() []byte { return s.state.v2.Stats() }

// RaftIndex is the index of the last log entry applied here.
func (s *Store) RaftIndex() uint64 { return s.state.progress.current() }

// stampV2 puts cluster time into a v2 command. The leader does it as the command enters its log.
func (s *Store) stampV2(cmd []byte) ([]byte, error) {
	if len(cmd) == 0 || kind(cmd[0]) != kindV2 {
		return cmd, nil
	}
	body, err := s.state.v2.Stamp(cmd[1:], s.mono())
	if err != nil {
		return nil, err
	}
	return append([]byte{byte(kindV2)}, body...), nil
}

// v2Loop counts cluster time on the leader and ends the v2 keys whose time has come.
func (s *Store) v2Loop() {
	pause := expireV2Every / 2
	for s.sleep(pause) {
		if pause = expireV2Every / 2; !s.IsLeader() || s.state.v2.Index() == 0 { // nothing to count here
			pause = 2 * expireV2Every
			continue
		}
		s.state.v2.Tick(s.mono())
		body, due := s.state.v2.Expire(s.mono())
		if !due {
			continue
		}
		ctx, cancel := context.WithTimeout(s.ctx, s.opts.RequestTimeout)
		// Already stamped: it names the moment up to which keys end.
		_, err := s.applyRaw(ctx, s.node.Load(), append([]byte{byte(kindV2)}, body...))
		cancel()
		if err != nil && !errors.Is(err, errNotLeaderRetry) {
			s.log.Info("v2 keys were not expired", "error", err)
		}
	}
}

// applyV2 applies a v2 command.
func (s *state) applyV2(body []byte) (outcome, error) {
	res, err := s.v2.Apply(body, s.now())
	return outcome{v2: &res}, err
}

// saveV2 writes the v2 key space, which lives in memory, into the backend, for a copy that is about to be taken.
func (s *state) saveV2() error {
	if s.v2.Index() == 0 {
		return nil // never used
	}
	saved, err := s.v2.Save()
	if err != nil {
		return err
	}
	s.putV2(v2Key, saved)
	return nil
}

func (s *state) putV2(key, value []byte) {
	tx := s.be.BatchTx()
	tx.LockInsideApply()
	defer tx.Unlock()
	tx.UnsafePut(v2Bucket, key, value)
}

// getV2 is what putV2 has put; nil: nothing.
func (s *state) getV2(key []byte) []byte {
	tx := s.be.BatchTx()
	tx.LockOutsideApply()
	defer tx.Unlock()
	tx.UnsafeCreateBucket(v2Bucket)
	_, vals := tx.UnsafeRange(v2Bucket, key, nil, 0)
	if len(vals) != 1 {
		return nil
	}
	return append([]byte{}, vals[0]...)
}

// loadV2 takes the v2 key space from the backend.
func (s *state) loadV2() error {
	saved := s.getV2(v2Key)
	if saved == nil {
		if s.v2.Index() == 0 {
			return nil
		}
		empty, err := v2keys.New().Save()
		if err != nil {
			return err
		}
		saved = empty
	}
	return s.v2.Recover(saved, s.now())
}
