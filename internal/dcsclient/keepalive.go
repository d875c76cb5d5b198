package dcsclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/internal/boottime"
)

// renewal is one keep-alive of one lease on one host, from its sending until its answer. It belongs to no caller: who
// stops waiting for it leaves it outstanding, and the host gets no other one for that lease meanwhile.
type renewal struct {
	sent boottime.Instant
	done chan struct{} // closed when the fields below are set

	ttl time.Duration
	err error
}

// renewalTimeout ends a renewal that was never answered. A lease that has waited so long has expired.
const renewalTimeout = 10 * time.Second

// answer is a renewal that is done. One that an earlier call had sent is not fresh: it extends the lease by less.
type answer struct {
	*renewal
	host  *endpoint
	fresh bool
}

// hedgeAfter is how long the first host alone may take to renew a lease. At rest one host answers within milliseconds, and the others are left alone.
const hedgeAfter = 50 * time.Millisecond

// KeepAlive implements Client. It asks the host that is nearest, and the others too as soon as that one owes an answer to an earlier call, fails, or
// takes hedgeAfter: a hung host costs no more than that, once. A host that owes an answer for this lease is asked when it has answered. An
// answer to an earlier call counts only when there is no better one.
func (c *Etcd) KeepAlive(caller context.Context, lease int64) (time.Duration, boottime.Instant, error) {
	ctx, cancel := c.bounded(caller)
	defer cancel()
	answers := make(chan answer)
	waiting, owing := c.hosts(), 0
	ask := func(n int) {
		for _, e := range waiting[:n] {
			c.renew(ctx, e, lease, answers)
		}
		waiting, owing = waiting[n:], owing+n
	}
	all := func() { ask(len(waiting)) }
	if len(waiting) > 0 && !c.owes(waiting[0], lease) {
		ask(1)
	} else {
		all()
	}
	hedge := time.NewTimer(hedgeAfter)
	defer hedge.Stop()
	var older *renewal
	var errs []error
	for owing > 0 {
		var a answer
		select {
		case a = <-answers:
		case <-hedge.C:
			all()
			continue
		case <-ctx.Done():
			owing, errs = 0, append(errs, ctx.Err())
			continue
		}
		// A lease is gone only when that has been committed, so the word of one host is enough.
		if kind := kindOf(a.err); a.err != nil && kind != ErrUnavailable {
			return 0, a.sent, classify(a.err)
		}
		switch {
		case !a.fresh:
			if a.err == nil && (older == nil || a.sent.After(older.sent)) {
				older = a.renewal
			}
			c.renew(ctx, a.host, lease, answers)
		case a.err == nil:
			return a.ttl, a.sent, nil
		default:
			owing--
			errs = append(errs, a.err)
			all()
		}
	}
	if older != nil {
		return older.ttl, older.sent, nil
	}
	return 0, 0, c.unavailable(caller, errs)
}

// owes says whether a host has not answered an earlier call about the lease.
func (c *Etcd) owes(e *endpoint, lease int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.renewals[lease] != nil
}

// renew asks one host, or waits for the answer that it owes, and reports the outcome until ctx ends.
func (c *Etcd) renew(ctx context.Context, e *endpoint, lease int64, answers chan<- answer) {
	r, fresh := c.renewOn(e, lease)
	go func() {
		select {
		case <-r.done:
		case <-ctx.Done():
			return
		}
		select {
		case answers <- answer{r, e, fresh}:
		case <-ctx.Done():
		}
	}()
}

// renewOn starts a renewal on a host, or returns the one that is outstanding there.
func (c *Etcd) renewOn(e *endpoint, lease int64) (r *renewal, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.renewals[lease]; r != nil {
		return r, false
	}
	r = &renewal{sent: boottime.Now(), done: make(chan struct{})}
	if !c.background(func() { c.runRenewal(e, lease, r) }) {
		r.err = ErrClosed
		close(r.done)
		return r, true
	}
	e.renewals[lease] = r
	return r, true
}

func (c *Etcd) runRenewal(e *endpoint, lease int64, r *renewal) {
	ctx, cancel := context.WithTimeout(c.ctx, renewalTimeout)
	defer cancel()
	err := c.tokens.with(ctx, e, func(ctx context.Context) (err error) {
		r.ttl, err = e.keepAlive(ctx, lease)
		return err
	})
	if err != nil {
		r.err = fmt.Errorf("%s: %w", e.name, err)
	}
	e.mu.Lock()
	delete(e.renewals, lease)
	e.mu.Unlock()
	close(r.done)
}

// keepAlive asks one host on a stream of its own; that is one request and one answer, like any call.
func (e *endpoint) keepAlive(ctx context.Context, lease int64) (time.Duration, error) {
	ctx, cancel := context.WithCancel(ctx) // ends the stream
	defer cancel()
	stream, err := e.lease.LeaseKeepAlive(ctx)
	if err != nil {
		return 0, err
	}
	if err := stream.Send(&pb.LeaseKeepAliveRequest{ID: lease}); err != nil {
		// The cause is with Recv.
		if _, cause := stream.Recv(); cause != nil {
			err = cause
		}
		return 0, err
	}
	resp, err := stream.Recv()
	if err != nil {
		return 0, err
	}
	if resp.ID != lease {
		return 0, errors.New("the answer is about another lease")
	}
	if resp.TTL <= 0 {
		return 0, ErrLeaseNotFound
	}
	return time.Duration(resp.TTL) * time.Second, nil
}
