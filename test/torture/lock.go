//go:build torture

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// lockTTL is the lock's lease, in seconds.
const lockTTL = 3

// hold is one time that a client had the lock. Times are since the slice began.
type hold struct {
	id         int
	asked, got time.Duration // the transaction's call and return
	until      time.Duration // the last renewal's call and the lease's time to live
}

// lockWatch has clients take a lock from each other.
type lockWatch struct {
	key   string
	began time.Time
	mu    sync.Mutex
	holds []hold
}

func (w *lockWatch) client(ctx context.Context, c *cluster, id int) error {
	var conns []*clientv3.Client
	for _, m := range c.members {
		cl, err := m.dial()
		if err != nil {
			return err
		}
		defer cl.Close()
		conns = append(conns, cl)
	}
	for n := id; ctx.Err() == nil; n++ {
		if h, ok := w.hold(ctx, conns, n, id); ok {
			w.mu.Lock()
			w.holds = append(w.holds, h)
			w.mu.Unlock()
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

// hold takes the lock if it is free, renews it some times, through whichever member answers, and then lets it run out.
func (w *lockWatch) hold(ctx context.Context, conns []*clientv3.Client, n, id int) (h hold, ok bool) {
	now := func() time.Duration { return time.Since(w.began) }
	try := func(f func(ctx context.Context, c *clientv3.Client) error) error {
		one, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		n++
		return f(one, conns[n%members])
	}
	var lease clientv3.LeaseID
	h = hold{id: id, until: now() + lockTTL*time.Second}
	if try(func(ctx context.Context, c *clientv3.Client) error {
		l, err := c.Grant(ctx, lockTTL)
		if err == nil {
			lease = l.ID
		}
		return err
	}) != nil {
		return h, false
	}
	h.asked = now()
	got := false
	if try(func(ctx context.Context, c *clientv3.Client) error {
		r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.CreateRevision(w.key), "=", 0)).
			Then(clientv3.OpPut(w.key, fmt.Sprint(id), clientv3.WithLease(lease))).Commit()
		got = err == nil && r.Succeeded
		return err
	}) != nil || !got {
		return h, false
	}
	h.got = now()
	for range 5 {
		pause(ctx, 300*time.Millisecond)
		before := now()
		_ = try(func(ctx context.Context, c *clientv3.Client) error {
			r, err := c.KeepAliveOnce(ctx, lease)
			if err == nil && r.TTL > 0 && before < h.until {
				h.until = max(h.until, before+time.Duration(r.TTL)*time.Second)
			}
			return err
		})
	}
	return h, true
}

// check finds a lock that was certainly taken while somebody else certainly had it.
func (w *lockWatch) check() error {
	for _, a := range w.holds {
		for _, b := range w.holds {
			if a.got <= b.asked && b.got <= a.until && a != b {
				return fmt.Errorf("the lock was taken from its holder: %+v had it, and then %+v", a, b)
			}
		}
	}
	return nil
}
