package etcdv2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// Commit implements [dcsclient.Client], by the rule of the package. A transaction that has not succeeded may have been visible for a moment.
func (c *Client) Commit(ctx context.Context, txn dcs.Txn) (dcsclient.Result, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return dcsclient.Result{}, err
	}
	defer done()
	t := &transaction{c: c, ctx: ctx, txn: txn, leader: c.opts.Keys.Leader()}
	if err := t.check(); err != nil {
		return dcsclient.Result{}, err
	}
	if at, ok := t.single(); ok {
		return t.one(at)
	}
	return t.run()
}

// transaction is one Commit.
type transaction struct {
	c      *Client
	ctx    context.Context
	txn    dcs.Txn
	leader string

	view view
	made int64   // the index at which this transaction made the leader key; 0: it has not
	done []write // in the order of their ends
}

// view is the cluster's keys at one index.
type view struct {
	answer
	nodes map[string]*node
}

// check refuses what the rule does not cover.
func (t *transaction) check() error {
	for _, key := range t.keys() {
		if !strings.HasPrefix(key, t.c.opts.Keys.Prefix()) {
			return fmt.Errorf("%w: %s is no key of this cluster", dcsclient.ErrRejected, key)
		}
	}
	for _, op := range t.txn.Then {
		if op.Lease == 0 {
			continue
		}
		if _, err := t.c.leaseOf(op.Lease); err != nil {
			return err
		}
	}
	if t.takes() && !slices.Contains(t.txn.If, dcs.Absent(t.leader)) {
		return fmt.Errorf("%w: the leader key is only made where there is none", dcsclient.ErrRejected)
	}
	return nil
}

func (t *transaction) keys() (out []string) {
	for _, c := range t.txn.If {
		out = append(out, c.Key)
	}
	for _, op := range t.txn.Then {
		out = append(out, op.Key)
	}
	return out
}

// takes says whether the transaction makes the leader key, ends whether it deletes it.
func (t *transaction) takes() bool { return slices.ContainsFunc(t.txn.Then, t.putsLeader) }
func (t *transaction) ends() bool {
	return slices.ContainsFunc(t.txn.Then, func(op dcs.Op) bool { return op.Delete && op.Key == t.leader })
}

func (t *transaction) putsLeader(op dcs.Op) bool { return !op.Delete && op.Key == t.leader }

// single says whether one request does it all, and under which condition: a write of one key, unconditional or by that key's own index.
func (t *transaction) single() (at condition, ok bool) {
	if len(t.txn.Then) != 1 || t.txn.Then[0].Prefix {
		return at, false
	}
	switch op := t.txn.Then[0]; {
	case len(t.txn.If) == 0:
		return condition{any: true}, true
	case len(t.txn.If) == 1 && op.Key != t.leader && op.Lease == 0 && t.txn.If[0].Key == op.Key && t.txn.If[0].Target == dcs.Mod:
		return condition{index: t.txn.If[0].Rev}, t.c.holder(op.Key).lease == nil
	}
	return at, false
}

func (t *transaction) one(at condition) (dcsclient.Result, error) {
	op := t.txn.Then[0]
	if op.Delete && !at.any && at.index == 0 {
		return t.run() // the absence of a key that is to be deleted
	}
	a, err := t.c.write(t.ctx, op, at)
	var f *fault
	switch {
	case err == nil:
		return t.result(a, true), nil
	case isFault(err, codeCompareFailed, codeExists, codeNotFound) && errors.As(err, &f):
		a.index = f.Index
		return t.result(a, at.any), nil // without a condition: a key that was to be deleted and is not there
	}
	return dcsclient.Result{}, err
}

func (t *transaction) result(a answer, succeeded bool) dcsclient.Result {
	r := dcsclient.Result{Succeeded: succeeded, Revision: a.index, ClusterID: a.cluster ^ clusterMask}
	if succeeded {
		r.Made = r.Revision
		if t.made != 0 {
			r.Made = t.made
		}
	}
	return r
}

// run is a transaction of several requests. Once one of them has changed something, an error leaves the outcome unknown.
func (t *transaction) run() (dcsclient.Result, error) {
	ok, err := t.steps()
	if err == nil && ok {
		last := t.view.answer
		for _, w := range t.done {
			last.index = max(last.index, w.answer.index)
		}
		return t.result(last, true), nil
	}
	touched := len(t.done) > 0 || t.made != 0
	if undone := t.undo(); err == nil && undone != nil {
		err = undone
	}
	if err != nil {
		if touched && !errors.Is(err, dcsclient.ErrUnknownOutcome) {
			err = fmt.Errorf("%w: %w", dcsclient.ErrUnknownOutcome, err)
		}
		return dcsclient.Result{}, err
	}
	return t.result(t.view.answer, false), nil
}

// steps does what the package's rule says, and returns false as soon as a condition does not hold.
func (t *transaction) steps() (ok bool, err error) {
	if err := t.read(); err != nil || !t.holds(t.txn.If) {
		return false, err
	}
	if t.takes() {
		if ok, err := t.lock(); !ok {
			return false, err
		}
	}
	puts, deletes := t.parts()
	for _, part := range [][]dcs.Op{puts, deletes} {
		if ok, err := t.together(part); !ok {
			return false, err
		}
	}
	if t.ends() {
		return t.together([]dcs.Op{dcs.Delete(t.leader)})
	}
	return t.stillTrue()
}

// parts are the writes beside that of the leader key. Who takes the lead writes what it depended on once more.
func (t *transaction) parts() (puts, deletes []dcs.Op) {
	for _, op := range t.txn.Then {
		switch {
		case op.Key == t.leader:
		case op.Delete:
			deletes = append(deletes, op)
		default:
			puts = append(puts, op)
		}
	}
	if !t.takes() {
		return puts, deletes
	}
	for _, c := range t.txn.If {
		n := t.view.nodes[c.Key]
		written := func(op dcs.Op) bool { return op.Key == c.Key }
		if n == nil || n.Value == nil || n.Expiration != nil || n.TTL != 0 || slices.ContainsFunc(t.txn.Then, written) || slices.ContainsFunc(puts, written) {
			continue
		}
		puts = append(puts, dcs.Put(c.Key, *n.Value, 0))
	}
	return puts, deletes
}

// read takes a new view, by consensus.
func (t *transaction) read() error {
	a, err := t.c.ask(t.ctx, get(t.c.opts.Keys.Prefix(), map[string]string{"recursive": "true", "quorum": "true"}))
	if isFault(err, codeNotFound) {
		err, a.Node = nil, nil
	}
	if err != nil {
		return err
	}
	t.view = view{answer: a, nodes: map[string]*node{}}
	for _, n := range leaves(a.Node) {
		t.view.nodes[n.Key] = n
	}
	return nil
}

// holds says whether conditions hold in the view.
func (t *transaction) holds(conditions []dcs.Compare) bool {
	for _, c := range conditions {
		n := t.view.nodes[c.Key]
		if n == nil {
			if c.Target == dcs.Value || c.Rev != 0 {
				return false
			}
			continue
		}
		kv := t.c.toKV(n)
		if c.Target == dcs.Create && kv.CreateRevision != c.Rev || c.Target == dcs.Mod && kv.ModRevision != c.Rev ||
			c.Target == dcs.Value && string(kv.Value) != c.Value {
			return false
		}
	}
	return true
}

// lock makes the leader key, and looks whether everything else is as it was.
func (t *transaction) lock() (ok bool, err error) {
	op := t.txn.Then[slices.IndexFunc(t.txn.Then, t.putsLeader)]
	a, err := t.c.write(t.ctx, op, condition{})
	if isFault(err, codeExists) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.made = a.Node.CreatedIndex
	if err := t.read(); err != nil {
		return false, err
	}
	n := t.view.nodes[t.leader]
	others := slices.DeleteFunc(slices.Clone(t.txn.If), func(c dcs.Compare) bool { return c.Key == t.leader })
	return n != nil && n.CreatedIndex == t.made && t.holds(others), nil
}

// stillTrue looks once more at what the transaction knows of the leader key: what was written while another took the lead does not count.
func (t *transaction) stillTrue() (bool, error) {
	var about []dcs.Compare
	for _, c := range t.txn.If {
		if c.Key == t.leader {
			about = append(about, c)
		}
	}
	if t.made != 0 {
		about = []dcs.Compare{dcs.CreatedAt(t.leader, t.made)}
	}
	if len(about) == 0 || len(t.done) == 0 {
		return true, nil
	}
	a, err := t.c.readKey(t.ctx, t.leader)
	if err != nil {
		return false, err
	}
	t.view.answer = a
	t.view.nodes[t.leader] = a.Node
	return t.holds(about), nil
}
