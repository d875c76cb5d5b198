package etcdv2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"quorate/internal/dcsclient"
)

// ask makes a request that may be made twice, on one host after the other until one has an answer. Each gets an equal share of the time that is left.
func (c *Client) ask(caller context.Context, r request) (answer, error) {
	ctx, cancel := c.bounded(caller)
	defer cancel()
	hosts := c.hosts()
	var errs []error
	for i, h := range hosts {
		a, err := c.tryHost(ctx, h, len(hosts)-i, r)
		if err == nil {
			c.served(h)
			return a, nil
		}
		if kindOf(err) != dcsclient.ErrUnavailable {
			c.served(h)
			return a, classify(err)
		}
		errs = append(errs, fmt.Errorf("%s: %w", h.name, err))
		if ctx.Err() != nil {
			break
		}
	}
	return answer{}, c.unavailable(caller, errs)
}

// change makes a request that must not be made twice. It goes to the next host only while it is certain that no host has it; after that an error that
// etcd did not answer is [dcsclient.ErrUnknownOutcome]. A request that was sent has all the time that there is.
func (c *Client) change(caller context.Context, r request) (answer, error) {
	ctx, cancel := c.bounded(caller)
	defer cancel()
	hosts := c.hosts()
	var errs []error
	for _, h := range hosts {
		a, err := c.tryHost(ctx, h, 1, r)
		var unsent notSent
		switch {
		case err == nil:
			c.served(h)
			return a, nil
		case errors.As(err, &unsent):
			errs = append(errs, fmt.Errorf("%s: %w", h.name, err))
		case kindOf(err) == dcsclient.ErrUnavailable:
			return a, fmt.Errorf("%w: %s: %w", dcsclient.ErrUnknownOutcome, h.name, err)
		default:
			c.served(h)
			return a, classify(err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return answer{}, c.unavailable(caller, errs)
}

// tryHost gives a host the nth part of the time that is left.
func (c *Client) tryHost(ctx context.Context, h *host, n int, r request) (answer, error) {
	attempt, cancel := ctx, func() {}
	if deadline, ok := ctx.Deadline(); ok && n > 1 {
		attempt, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
	}
	defer cancel()
	a, err := c.do(attempt, h, r)
	if err != nil && attempt.Err() != nil && !errors.Is(ctx.Err(), context.Canceled) {
		h.raiseSuspicion()
		c.moveOn(h)
	}
	return a, err
}

// moveOn makes the next host the preferred one, after this one has let a call wait.
func (c *Client) moveOn(from *host) {
	hosts := c.hosts()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.preferred == from && len(hosts) > 1 {
		c.preferred = hosts[1]
	}
}

// unavailable is the error when no host could serve.
func (c *Client) unavailable(caller context.Context, errs []error) error {
	if c.ctx.Err() != nil {
		return dcsclient.ErrClosed
	}
	if err := caller.Err(); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, errNoHost)
	}
	return fmt.Errorf("%w: %w", dcsclient.ErrUnavailable, errors.Join(errs...))
}

func get(path string, query map[string]string) request {
	r := request{method: http.MethodGet, path: "/keys" + path, query: map[string][]string{}}
	for k, v := range query {
		r.query.Set(k, v)
	}
	return r
}
