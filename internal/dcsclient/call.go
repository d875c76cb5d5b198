package dcsclient

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"
)

// bounded gives a call the client's own time limit and ends it with the client.
func (c *Etcd) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.RequestTimeout)
	stop := context.AfterFunc(c.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

// repeatable runs a call that may be made twice, on one host after the other until one has an answer. Each gets an equal
// share of the time that is left.
func (c *Etcd) repeatable(caller context.Context, call func(context.Context, *endpoint) error) error {
	ctx, cancel := c.bounded(caller)
	defer cancel()
	hosts := c.hosts()
	var errs []error
	for i, e := range hosts {
		err := c.tryHost(ctx, e, len(hosts)-i, call)
		if err == nil {
			c.served(e)
			return nil
		}
		if kind := kindOf(err); kind != ErrUnavailable {
			return classify(err)
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	return c.unavailable(caller, errs)
}

func (c *Etcd) tryHost(ctx context.Context, e *endpoint, left int, call func(context.Context, *endpoint) error) error {
	attempt, cancel := share(ctx, left)
	defer cancel()
	err := c.tokens.with(attempt, e, func(ctx context.Context) error { return call(ctx, e) })
	if err != nil && attempt.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) {
		e.raiseSuspicion()
	}
	return err
}

// once runs a call that must not be made twice. It goes to the next host only while it is certain that no store will ever
// apply it; after that an error is ErrUnknownOutcome.
func (c *Etcd) once(caller context.Context, call func(context.Context, *endpoint, ...grpc.CallOption) error) error {
	ctx, cancel := c.bounded(caller)
	defer cancel()
	hosts := c.hosts()
	var errs []error
	for i, e := range hosts {
		if !c.connected(ctx, e, len(hosts)-i) {
			errs = append(errs, fmt.Errorf("%s: not connected", e.name))
			continue
		}
		var sent bool
		err := c.tokens.with(ctx, e, func(ctx context.Context) error {
			// gRPC fills in the peer when it has opened a stream to it; a call that has none has left no trace.
			var to peer.Peer
			err := call(ctx, e, grpc.Peer(&to))
			sent = to.Addr != nil
			return err
		})
		if err == nil {
			c.served(e)
			return nil
		}
		if sent && ctx.Err() != nil {
			e.raiseSuspicion()
		}
		if sent && !certainlyNotApplied(err) {
			return fmt.Errorf("%w: %s: %w", ErrUnknownOutcome, e.name, err)
		}
		if kind := kindOf(err); kind != ErrUnavailable {
			return classify(err)
		}
		errs = append(errs, fmt.Errorf("%s: %w", e.name, err))
	}
	return c.unavailable(caller, errs)
}

// connected waits for the host's connection for its share of the time.
func (c *Etcd) connected(ctx context.Context, e *endpoint, left int) bool {
	attempt, cancel := share(ctx, left)
	defer cancel()
	return e.awaitReady(attempt)
}

// unavailable is the error when no host could serve. When the caller has given up, errors.Is finds the end of its context
// in it too: what gRPC says of that is a status.
func (c *Etcd) unavailable(caller context.Context, errs []error) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if err := caller.Err(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return fmt.Errorf("%w: no store host is known", ErrUnavailable)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, errors.Join(errs...))
}

// share is ctx with an n-th of the time that it has left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}
