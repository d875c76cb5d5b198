//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	keys = 40
	// checkTime bounds the search for an order.
	checkTime = 3 * time.Minute
	// anyRevision is that of a write whose answer was lost.
	anyRevision = -1
)

type input struct {
	op, key, value string
	rev            int64 // cas: the revision expected
}

type output struct {
	value   string
	rev     int64 // 0: the key is not there
	done    bool  // cas: swapped; delete: deleted
	unknown bool  // nobody knows whether it happened
}

// register is one key.
type register struct {
	value string
	rev   int64
}

func (s register) matches(rev int64) bool { return s.rev == rev || s.rev == anyRevision }

// model is one key as etcd promises it.
var model = porcupine.NondeterministicModel{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		by := map[string][]porcupine.Operation{}
		for _, op := range all {
			k := op.Input.(input).key
			by[k] = append(by[k], op)
		}
		return slices.Collect(maps.Values(by))
	},
	Init: func() []any { return []any{register{}} },
	Step: func(state, in, out any) []any { return step(state.(register), in.(input), out.(output)) },
	DescribeOperation: func(in, out any) string {
		return fmt.Sprintf("%+v -> %+v", in, out)
	},
}

func step(s register, in input, out output) []any {
	switch in.op {
	case "get":
		if s.value == out.value && s.matches(out.rev) {
			return []any{register{out.value, out.rev}}
		}
		return nil
	case "put":
		if out.unknown {
			return []any{s, register{in.value, anyRevision}}
		}
		return []any{register{in.value, out.rev}}
	case "delete":
		switch {
		case out.unknown:
			return []any{s, register{}}
		case out.done == (s.rev != 0):
			return []any{register{}}
		}
		return nil
	}
	swapped := register{in.value, out.rev}
	switch {
	case out.unknown && s.matches(in.rev):
		return []any{s, register{in.value, anyRevision}}
	case out.unknown:
		return []any{s}
	case out.done && s.matches(in.rev):
		return []any{swapped}
	case !out.done && s.value == out.value && s.matches(out.rev) && out.rev != in.rev:
		return []any{register{out.value, out.rev}}
	}
	return nil
}

// do executes an operation; happened is false when it certainly did not, or does not matter.
func do(ctx context.Context, c *clientv3.Client, in input) (out output, happened bool) {
	var err error
	switch in.op {
	case "get":
		var r *clientv3.GetResponse
		if r, err = c.Get(ctx, in.key); err != nil {
			return out, false
		}
		if len(r.Kvs) > 0 {
			out.value, out.rev = string(r.Kvs[0].Value), r.Kvs[0].ModRevision
		}
		return out, true
	case "put":
		var r *clientv3.PutResponse
		if r, err = c.Put(ctx, in.key, in.value); err == nil {
			out.rev = r.Header.Revision
		}
	case "delete":
		var r *clientv3.DeleteResponse
		if r, err = c.Delete(ctx, in.key); err == nil {
			out.done = r.Deleted > 0
		}
	case "cas":
		var r *clientv3.TxnResponse
		r, err = c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(in.key), "=", in.rev)).
			Then(clientv3.OpPut(in.key, in.value)).Else(clientv3.OpGet(in.key)).Commit()
		if err == nil {
			out.done, out.rev = r.Succeeded, r.Header.Revision
			if !r.Succeeded {
				out.rev = 0
				if kvs := r.Responses[0].GetResponseRange().Kvs; len(kvs) > 0 {
					out.value, out.rev = string(kvs[0].Value), kvs[0].ModRevision
				}
			}
		}
	}
	if err == nil {
		return out, true
	}
	if errors.Is(err, rpctypes.ErrNoLeader) || errors.Is(err, rpctypes.ErrTooManyRequests) {
		return out, false // the store's word that nothing was done
	}
	return output{unknown: true}, true
}

// tally is what a slice did.
type tally struct {
	ops, unknown, locks int
	faults              map[string]int
}

func (t *tally) add(o tally) {
	t.ops += o.ops
	t.unknown += o.unknown
	t.locks += o.locks
	if t.faults == nil {
		t.faults = map[string]int{}
	}
	for k, n := range o.faults {
		t.faults[k] += n
	}
}

func (t tally) String() string {
	var faults []string
	for _, k := range slices.Sorted(maps.Keys(t.faults)) {
		faults = append(faults, fmt.Sprintf("%s %d", k, t.faults[k]))
	}
	return fmt.Sprintf("%d operations (outcome unknown: %d), %d times locked, faults: %s", t.ops, t.unknown, t.locks, strings.Join(faults, ", "))
}

// recorder collects operations.
type recorder struct {
	prefix string
	began  time.Time
	mu     sync.Mutex
	ops    []porcupine.Operation
	nextID int
}

// client works until ctx ends. What is unknown may still happen at any time, so it ends with the history, and the client goes on under another name: porcupine
// wants one operation at a time of each.
func (r *recorder) client(ctx context.Context, c *cluster, id int, seed uint64) error {
	rnd := rand.New(rand.NewPCG(seed, uint64(id)))
	var conns []*clientv3.Client
	for _, m := range c.members {
		cl, err := m.dial()
		if err != nil {
			return err
		}
		defer cl.Close()
		conns = append(conns, cl)
	}
	revs := map[string]int64{}
	at := rnd.IntN(members)
	for n := 0; ctx.Err() == nil; n++ {
		in := input{op: [...]string{"get", "get", "get", "put", "put", "cas", "cas", "delete"}[rnd.IntN(8)], key: fmt.Sprintf("%s/%d", r.prefix, rnd.IntN(keys)),
			value: fmt.Sprintf("%d.%d", id, n)}
		in.rev = revs[in.key]
		call := time.Since(r.began).Nanoseconds()
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		out, happened := do(one, conns[at], in)
		cancel()
		end := time.Since(r.began).Nanoseconds()
		if happened {
			if out.unknown {
				end = (24 * time.Hour).Nanoseconds()
			} else {
				revs[in.key] = out.rev
			}
			r.mu.Lock()
			r.ops = append(r.ops, porcupine.Operation{ClientId: id, Input: in, Call: call, Output: out, Return: end})
			if out.unknown {
				r.nextID++
				id = r.nextID
			}
			r.mu.Unlock()
		}
		if !happened || out.unknown {
			at = rnd.IntN(members)
			pause(ctx, 100*time.Millisecond)
		} else if rnd.IntN(20) == 0 {
			at = rnd.IntN(members)
		}
		pause(ctx, 5*time.Millisecond)
	}
	return nil
}

// torture is one slice.
func (c *cluster) torture(ctx context.Context, o options, seed uint64) (tally, error) {
	r := &recorder{prefix: fmt.Sprintf("s%d", seed), began: time.Now(), nextID: 1000}
	locks := &lockWatch{key: r.prefix + "/lock", began: r.began}
	work, cancel := context.WithTimeout(ctx, o.slice)
	defer cancel()
	errs := make(chan error, o.clients+2)
	for id := range o.clients {
		go func() { errs <- r.client(work, c, id, seed) }()
	}
	for id := range 2 {
		go func() { errs <- locks.client(work, c, id) }()
	}
	t := tally{faults: map[string]int{}}
	rnd := rand.New(rand.NewPCG(seed, 99))
	var err error
	for work.Err() == nil && err == nil {
		var what string
		what, err = c.disturb(work, rnd)
		t.faults[what]++
		pause(work, time.Duration(500+rnd.IntN(2500))*time.Millisecond)
	}
	cancel()
	for range o.clients + 2 {
		err = errors.Join(err, <-errs)
	}
	if err == nil {
		err = c.whole(ctx)
	}
	if err == nil {
		err = c.alike(ctx)
	}
	if err != nil {
		return t, err
	}
	t.ops, t.locks = len(r.ops), len(locks.holds)
	for _, op := range r.ops {
		if op.Output.(output).unknown {
			t.unknown++
		}
	}
	if err := locks.check(); err != nil {
		return t, err
	}
	m := model.ToModel()
	switch verdict, info := porcupine.CheckOperationsVerbose(m, r.ops, checkTime); verdict {
	case porcupine.Illegal:
		path := filepath.Join(o.logs, fmt.Sprintf("history-%d.html", seed))
		return t, errors.Join(fmt.Errorf("not linearizable: %s", path), porcupine.VisualizePath(m, info, path))
	case porcupine.Unknown:
		fmt.Printf("seed %d: the search for an order took longer than %s: no verdict\n", seed, checkTime)
	}
	return t, nil
}
