package raftstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

// register is one key as porcupine sees it: reads, writes, and swaps that compare the revision.
type registerInput struct {
	op    string // get, put, cas
	value string
	rev   int64 // cas: the revision expected
}

type registerOutput struct {
	value   string
	rev     int64
	swapped bool
	unknown bool // nobody knows whether it happened
}

type registerState struct {
	value string
	rev   int64
}

// registerModel follows etcd: a write has the revision that the answer says; one with unknown outcome may have any.
var registerModel = porcupine.NondeterministicModel{
	Init: func() []any { return []any{registerState{}} },
	Step: func(state, input, output any) []any {
		s, in, out := state.(registerState), input.(registerInput), output.(registerOutput)
		switch in.op {
		case "get":
			if out.unknown || out.value == s.value && (out.rev == s.rev || s.rev == anyRevision) {
				if !out.unknown {
					s.rev = out.rev
				}
				return []any{s}
			}
			return nil
		case "put":
			if out.unknown {
				return []any{s, registerState{in.value, anyRevision}}
			}
			return []any{registerState{in.value, out.rev}}
		}
		matches := s.rev == in.rev || s.rev == anyRevision
		switch {
		case out.unknown && matches:
			return []any{s, registerState{in.value, anyRevision}}
		case out.unknown:
			return []any{s}
		case out.swapped && matches:
			return []any{registerState{in.value, out.rev}}
		case !out.swapped && (!matches || s.rev == anyRevision):
			return []any{s}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

// anyRevision is that of a write whose answer was lost.
const anyRevision = -1

// recorder runs operations against random members and records them.
type recorder struct {
	c     *cluster
	began time.Time
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (r *recorder) client(ctx context.Context, id int, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(id)))
	lastRev := int64(0)
	pace := time.NewTicker(time.Millisecond) // for when nobody is there to ask
	defer pace.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		s := r.c.storeOrNil(rnd.IntN(len(r.c.members)))
		if s == nil {
			<-pace.C
			continue
		}
		in := registerInput{op: [...]string{"get", "get", "put", "cas"}[rnd.IntN(4)], value: fmt.Sprint(id, ".", n), rev: lastRev}
		call := time.Since(r.began).Nanoseconds()
		opCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		out, happened := runRegister(opCtx, s, in)
		cancel()
		end := time.Since(r.began).Nanoseconds()
		if !happened {
			<-pace.C
			continue
		}
		if out.unknown {
			end = time.Hour.Nanoseconds() // it may still happen at any later time
		} else {
			lastRev = out.rev
		}
		r.mu.Lock()
		r.ops = append(r.ops, porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: end})
		r.mu.Unlock()
		if out.unknown {
			id += 1000 // porcupine wants one operation at a time per client
		}
	}
}

func (r *recorder) reads() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, op := range r.ops {
		if op.Input.(registerInput).op == "get" {
			n++
		}
	}
	return n
}

var registerKey = []byte("register")

// runRegister executes an operation; happened is false when it certainly did not.
func runRegister(ctx context.Context, s *Store, in registerInput) (out registerOutput, happened bool) {
	var err error
	switch in.op {
	case "get":
		var resp *pb.RangeResponse
		if resp, err = s.Range(ctx, &pb.RangeRequest{Key: registerKey}); err != nil {
			return out, false
		}
		if len(resp.Kvs) > 0 {
			out.value, out.rev = string(resp.Kvs[0].Value), resp.Kvs[0].ModRevision
		}
		return out, true
	case "put":
		var resp *pb.PutResponse
		if resp, err = s.Put(ctx, &pb.PutRequest{Key: registerKey, Value: []byte(in.value)}); err == nil {
			out.rev = resp.Header.Revision
		}
	case "cas":
		var resp *pb.TxnResponse
		if resp, err = s.Txn(ctx, casTxn(in)); err == nil {
			out.swapped, out.rev = resp.Succeeded, in.rev
			if resp.Succeeded {
				out.rev = resp.Header.Revision
			} else if kvs := resp.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
				out.rev = kvs[0].ModRevision
			}
		}
	}
	if err == nil {
		return out, true
	}
	if errors.Is(err, etcderrors.ErrNoLeader) || errors.Is(err, etcderrors.ErrTooManyRequests) {
		return out, false // the contract: nothing was done
	}
	out.unknown = true
	return out, true
}

func casTxn(in registerInput) *pb.TxnRequest {
	return &pb.TxnRequest{
		Compare: []*pb.Compare{{Key: registerKey, Target: pb.Compare_MOD, TargetUnion: &pb.Compare_ModRevision{ModRevision: in.rev}}},
		Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: registerKey, Value: []byte(in.value)}}}},
		Failure: []*pb.RequestOp{{Request: &pb.RequestOp_RequestRange{RequestRange: &pb.RangeRequest{Key: registerKey}}}},
	}
}

func (c *cluster) storeOrNil(i int) *Store {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.members[i].store
}

// Through cuts, transfers and kills of leaders, every client sees one register.
func TestLinearizableUnderLeaderChanges(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := started(t, 3, func(_ int, o *Options) { o.ElectionTimeout = 150 * time.Millisecond })
	r := &recorder{c: c, began: time.Now()}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for id := range 5 {
		wg.Go(func() { r.client(ctx, id, seed) })
	}
	rnd := rand.New(rand.NewPCG(seed, 99))
	for n := 0; n < 6 || r.reads() < 100; n++ {
		disturb(t, c, rnd)
	}
	cancel()
	wg.Wait()
	t.Logf("%d operations, %d reads", len(r.ops), r.reads())
	switch porcupine.CheckOperationsTimeout(registerModel.ToModel(), r.ops, 30*time.Second) {
	case porcupine.Illegal:
		t.Error("the history is not linearizable")
	case porcupine.Unknown:
		t.Log("the checker ran out of time")
	}
}

// disturb does something to the leader and waits until the cluster has one again.
func disturb(t *testing.T, c *cluster, rnd *rand.Rand) {
	lead := c.leader()
	others := c.others(lead)
	switch rnd.IntN(3) {
	case 0:
		c.wires.set(true, lead, others...)
		now := c.leader(others...)
		for range rnd.IntN(20) { // so much happens while it is away
			c.putEventually(now, "meanwhile", "v")
		}
		c.wires.set(false, lead, others...)
	case 1:
		target := c.store(others[rnd.IntN(2)]).ID()
		if err := c.store(lead).MoveLeader(t.Context(), target); err != nil {
			t.Log("move:", err)
		}
	case 2:
		c.mu.Lock()
		victim := c.members[lead].store
		c.members[lead].store = nil
		c.mu.Unlock()
		victim.cancel()
		victim.Close()
		c.leader(others...)
		s, err := Open(c.members[lead].opts)
		if err != nil {
			t.Fatal(err)
		}
		c.mu.Lock()
		c.members[lead].store = s
		c.mu.Unlock()
		c.waitReady(lead)
	}
	c.putEventually(c.leader(), "calm", "x")
}
