package etcdv2

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
)

// lease is a time to live that keys of this client share.
type lease struct {
	id  int64
	ttl time.Duration
	// sent lies before the request of the last renewal, or the grant: its keys live until sent+ttl at least.
	sent boottime.Instant
}

// over says whether keys of the lease may have ended.
func (l *lease) over() bool { return boottime.Now().After(l.sent.Add(l.ttl)) }

// held is a key that a lease of this client holds, or that it has asked for without an answer yet.
type held struct {
	lease *lease
	value string
	// created, modified and written are the indexes at which the key was made, last changed or renewed, and last written; 0: no answer has told.
	created, modified, written int64
	// asked is closed when the request that writes it has ended; nil: none is under way.
	asked <-chan struct{}
}

// is says whether a node is the key that is held. Until an answer has told its index, its content has to: an empty one does not.
func (h *held) is(n *node) bool {
	if h.created == 0 {
		return h.value != "" && n.Value != nil && *n.Value == h.value
	}
	return n.CreatedIndex == h.created
}

// Grant implements [dcsclient.Client]. etcd hears of the lease with the first key that is written with it.
func (c *Client) Grant(ctx context.Context, ttl time.Duration) (int64, error) {
	a, err := c.readKey(ctx, c.opts.Keys.Leader()) // a lease without a store would say that there is one
	if err != nil {
		return 0, err
	}
	l := &lease{id: 1 + rand.Int64N(strangers-1), ttl: wholeSeconds(ttl), sent: a.sent}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leases[l.id] = l
	return l.id, nil
}

// wholeSeconds is never shorter than what was asked for: etcd counts in seconds.
func wholeSeconds(ttl time.Duration) time.Duration {
	return max(time.Second, (ttl + time.Second - 1).Truncate(time.Second))
}

// KeepAlive implements [dcsclient.Client].
func (c *Client) KeepAlive(ctx context.Context, id int64) (time.Duration, boottime.Instant, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	return c.keepAlive(ctx, id)
}

func (c *Client) keepAlive(ctx context.Context, id int64) (time.Duration, boottime.Instant, error) {
	l, err := c.leaseOf(id)
	if err != nil {
		return 0, 0, err
	}
	keys := c.keysOf(l)
	var sent boottime.Instant
	if leader := c.opts.Keys.Leader(); slices.Contains(keys, leader) {
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == leader })
		if sent, err = c.renew(ctx, leader); err != nil {
			return 0, 0, err
		}
		if sent.IsZero() {
			c.forget(l)
			return 0, 0, fmt.Errorf("%w: the leader key is gone, or is another's", dcsclient.ErrLeaseNotFound)
		}
	}
	for _, k := range keys {
		at, err := c.renew(ctx, k)
		if err != nil && sent.IsZero() {
			return 0, 0, err
		}
		if sent.IsZero() {
			sent = at
		}
	}
	if sent.IsZero() {
		a, err := c.readKey(ctx, c.opts.Keys.Leader())
		if err != nil {
			return 0, 0, err
		}
		sent = a.sent
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.sent = sent
	return l.ttl, sent, nil
}

// Adopt implements [dcsclient.Client]: of a leader key with this node's name that a former process made.
func (c *Client) Adopt(ctx context.Context, id int64, ttl time.Duration) (time.Duration, boottime.Instant, error) {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer done()
	if _, err := c.leaseOf(id); err == nil {
		return c.keepAlive(ctx, id)
	}
	key := c.opts.Keys.Leader()
	a, err := c.readKey(ctx, key)
	if err != nil {
		return 0, 0, err
	}
	if n := a.Node; n == nil || n.Value == nil || *n.Value != c.opts.Name || c.strangersLease(key, *n.Value) != id {
		return 0, 0, fmt.Errorf("%w: the leader key is gone, or is another's", dcsclient.ErrLeaseNotFound)
	}
	l := &lease{id: id, ttl: wholeSeconds(ttl), sent: a.sent}
	c.mu.Lock()
	c.leases[id] = l
	c.held[key] = &held{lease: l, value: *a.Node.Value, created: a.Node.CreatedIndex, modified: a.Node.ModifiedIndex, written: a.Node.ModifiedIndex}
	c.mu.Unlock()
	return c.keepAlive(ctx, id)
}

// Revoke implements [dcsclient.Client].
func (c *Client) Revoke(ctx context.Context, id int64) error {
	ctx, cancel := c.bounded(ctx)
	defer cancel()
	done, err := c.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	l, err := c.leaseOf(id)
	if err != nil {
		return nil // it is gone
	}
	for _, k := range c.keysOf(l) {
		h := c.holder(k)
		_, err := c.change(ctx, request{method: http.MethodDelete, path: "/keys" + k, query: url.Values{"prevIndex": {strconv.FormatInt(h.modified, 10)}}})
		if err != nil && !isFault(err, codeNotFound, codeCompareFailed) {
			return err
		}
	}
	c.forget(l)
	return nil
}

// leaseOf finds a lease that still stands.
func (c *Client) leaseOf(id int64) (*lease, error) {
	c.mu.Lock()
	l := c.leases[id]
	c.mu.Unlock()
	if l == nil {
		return nil, fmt.Errorf("%w: %x is not known here", dcsclient.ErrLeaseNotFound, id)
	}
	if l.over() {
		c.forget(l)
		return nil, fmt.Errorf("%w: it has not been renewed for %s", dcsclient.ErrLeaseNotFound, l.ttl)
	}
	return l, nil
}

// forget drops a lease with what it holds.
func (c *Client) forget(l *lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.leases, l.id)
	maps.DeleteFunc(c.held, func(_ string, h *held) bool { return h.lease == l })
}

func (c *Client) keysOf(l *lease) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for k, h := range c.held {
		if h.lease == l {
			out = append(out, k)
		}
	}
	slices.Sort(out)
	return out
}

// holder is a copy of what is held of a key; the zero value: nothing.
func (c *Client) holder(key string) held {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[key]; h != nil {
		return *h
	}
	return held{}
}

// renewals bounds how often a renewal begins anew because another index was found.
const renewals = 3

// renew gives a held key its time to live again, at the index of its last change, so that a renewal which is late does not undo a newer one. It returns the
// instant before the request, or zero when the key is gone or another's. A request whose answer was lost is made again: the index tells.
func (c *Client) renew(ctx context.Context, key string) (boottime.Instant, error) {
	for range renewals {
		h := c.holder(key)
		if h.created != 0 {
			a, err := c.ask(ctx, request{method: http.MethodPut, path: "/keys" + key, form: url.Values{
				"value": {h.value}, "ttl": {seconds(h.lease.ttl)}, "prevIndex": {strconv.FormatInt(h.modified, 10)},
			}})
			if err == nil {
				c.update(key, func(h *held) { h.modified = a.Node.ModifiedIndex })
				return a.sent, nil
			}
			if !isFault(err, codeCompareFailed, codeNotFound) {
				return 0, err
			}
		}
		a, err := c.readKey(ctx, key)
		if err != nil {
			return 0, err
		}
		if a.Node == nil || !h.is(a.Node) || a.Node.Value == nil || *a.Node.Value != h.value {
			c.mu.Lock()
			delete(c.held, key)
			c.mu.Unlock()
			return 0, nil
		}
		c.update(key, func(h *held) {
			if h.created == 0 {
				h.created, h.written = a.Node.CreatedIndex, a.Node.ModifiedIndex
			}
			h.modified = a.Node.ModifiedIndex
		})
	}
	return 0, fmt.Errorf("%w: %s is changed all the time", dcsclient.ErrUnavailable, key)
}

func (c *Client) update(key string, change func(*held)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[key]; h != nil {
		change(h)
	}
}

// readKey reads one key, by consensus. A key that is not there has no node.
func (c *Client) readKey(ctx context.Context, key string) (answer, error) {
	a, err := c.ask(ctx, get(key, map[string]string{"quorum": "true"}))
	if isFault(err, codeNotFound) {
		a.Node, err = nil, nil
	}
	return a, err
}

func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }
