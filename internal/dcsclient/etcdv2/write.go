package etcdv2

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"quorate/internal/dcsclient"
	"quorate/raftstore/dcs"
)

// condition is on the key that is written: any, or the index of its last change, 0 of which says that there is none.
type condition struct {
	any   bool
	index int64
}

func (at condition) set(v url.Values) {
	switch {
	case at.any:
	case at.index == 0:
		v.Set("prevExist", "false")
	default:
		v.Set("prevIndex", strconv.FormatInt(at.index, 10))
	}
}

// write is what a transaction has changed, and what was there before.
type write struct {
	op     dcs.Op
	before *node // nil: nothing
	answer answer
}

// write changes one key in one request.
func (c *Client) write(ctx context.Context, op dcs.Op, at condition) (answer, error) {
	v := url.Values{}
	at.set(v)
	if op.Delete {
		if op.Prefix {
			v.Set("recursive", "true")
		}
		a, err := c.change(ctx, request{method: http.MethodDelete, path: "/keys" + op.Key, query: v})
		if err == nil || isFault(err, codeNotFound) {
			c.mu.Lock()
			delete(c.held, op.Key)
			c.mu.Unlock()
		}
		return a, err
	}
	v.Set("value", op.Value)
	settle := func(answer, error) {}
	if op.Lease != 0 {
		l, err := c.leaseOf(op.Lease)
		if err != nil {
			return answer{}, err
		}
		v.Set("ttl", seconds(l.ttl))
		if at.any && c.holder(op.Key).created != 0 {
			v.Set("prevExist", "true") // it stays the same key, with the index at which it was made
		}
		settle = c.hold(op, l)
	}
	r := request{method: http.MethodPut, path: "/keys" + op.Key, form: v}
	a, err := c.change(ctx, r)
	if isFault(err, codeNotFound) && v.Get("prevExist") == "true" {
		v.Del("prevExist") // its time to live has ended
		a, err = c.change(ctx, r)
	}
	settle(a, err)
	if op.Lease == 0 && err == nil {
		c.mu.Lock()
		delete(c.held, op.Key)
		c.mu.Unlock()
	}
	return a, err
}

// hold notes a key that is being written with a lease, so that whoever sees it before the answer knows it for ours. settle takes the answer.
func (c *Client) hold(op dcs.Op, l *lease) (settle func(answer, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.held[op.Key]
	asked := make(chan struct{})
	next := &held{lease: l, value: op.Value, asked: asked}
	if before != nil && op.Key != c.opts.Keys.Leader() {
		next.created, next.modified = before.created, before.modified
	}
	c.held[op.Key] = next
	return func(a answer, err error) {
		defer close(asked)
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case err == nil:
			next.created, next.modified, next.written = a.Node.CreatedIndex, a.Node.ModifiedIndex, a.Node.ModifiedIndex
		case isAnswered(err):
			if c.held[op.Key] = before; before == nil {
				delete(c.held, op.Key)
			}
		}
	}
}

// isAnswered says whether an error is etcd's own word that nothing was changed, or that nothing was sent.
func isAnswered(err error) bool { return err != nil && !errors.Is(err, dcsclient.ErrUnknownOutcome) }

// together makes writes of different keys at the same time, each at the index of the view. It returns false when one of them has found another index.
func (t *transaction) together(ops []dcs.Op) (ok bool, err error) {
	writes, errs := make([]write, len(ops)), make([]error, len(ops))
	var all sync.WaitGroup
	for i, op := range ops {
		before := t.view.nodes[op.Key]
		if op.Delete && !op.Prefix && before == nil {
			continue
		}
		at := condition{any: op.Prefix}
		if before != nil {
			at.index = before.ModifiedIndex
		}
		writes[i] = write{op: op, before: before}
		all.Go(func() { writes[i].answer, errs[i] = t.c.write(t.ctx, op, at) })
	}
	all.Wait()
	ok = true
	for i, w := range writes {
		switch {
		case w.op.Key == "":
		case errs[i] == nil:
			t.done = append(t.done, w)
		case isFault(errs[i], codeCompareFailed, codeExists, codeNotFound):
			ok = false
		default:
			err = errs[i]
		}
	}
	return ok && err == nil, err
}

// undo takes back what a transaction has written, as far as nobody has written there since, and gives the leader key back last. The error says that it may
// stand.
func (t *transaction) undo() error {
	var first error
	try := func(op dcs.Op, at condition) {
		if _, err := t.c.write(t.ctx, op, at); err != nil && !isFault(err, codeCompareFailed, codeExists, codeNotFound) && first == nil {
			first = err
		}
	}
	for _, w := range t.done {
		switch {
		case w.op.Lease != 0 || w.op.Prefix || w.before != nil && w.before.Expiration != nil: // it ends by itself
		case w.op.Delete:
			try(dcs.Put(w.op.Key, text(w.before), 0), condition{})
		case w.before == nil:
			try(dcs.Delete(w.op.Key), condition{index: w.answer.Node.ModifiedIndex})
		default:
			try(dcs.Put(w.op.Key, text(w.before), 0), condition{index: w.answer.Node.ModifiedIndex})
		}
	}
	if t.made != 0 {
		try(dcs.Delete(t.leader), condition{index: t.made})
	}
	return first
}

func text(n *node) string {
	if n == nil || n.Value == nil {
		return ""
	}
	return *n.Value
}
