package etcdv2

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"quorate/internal/dcsclient"
)

// Watch implements [dcsclient.Client]: a request for each event, which etcd answers from its last thousand or as soon as there is one.
func (c *Client) Watch(ctx context.Context, prefix string, from int64) <-chan dcsclient.Update {
	updates := make(chan dcsclient.Update)
	running := c.background(func() {
		defer close(updates)
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(c.ctx, func() { cancel(dcsclient.ErrClosed) })()
		deliver(ctx, updates, dcsclient.Update{Err: c.watch(ctx, prefix, from, updates)})
	})
	if !running {
		close(updates)
	}
	return updates
}

// watch runs on one host to its end.
func (c *Client) watch(ctx context.Context, prefix string, from int64, updates chan<- dcsclient.Update) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hosts := c.hosts()
	if len(hosts) == 0 {
		return fmt.Errorf("%w: %w", dcsclient.ErrUnavailable, errNoHost)
	}
	h := hosts[0]
	suspected := h.suspected()
	go func() {
		select {
		case <-suspected:
			cancel(fmt.Errorf("%w: %s does not answer", dcsclient.ErrUnavailable, h.name))
		case <-ctx.Done():
		}
	}()
	c.mu.Lock()
	cluster := c.cluster
	c.mu.Unlock()
	for {
		a, err := c.do(ctx, h, get(dirOf(prefix), map[string]string{"recursive": "true", "wait": "true", "waitIndex": strconv.FormatInt(from, 10)}))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF), err == nil && a.Node == nil:
			return fmt.Errorf("%w: %s ended the watch", dcsclient.ErrUnavailable, h.name)
		case err != nil:
			c.moveOn(h)
			return classify(fmt.Errorf("%s: %w", h.name, err))
		case cluster != 0 && a.cluster != cluster:
			return fmt.Errorf("%w: %x, not %x", dcsclient.ErrClusterChanged, a.cluster, cluster)
		case a.Node.Dir:
			return fmt.Errorf("%w: a directory was changed (%s %s)", dcsclient.ErrCompacted, a.Action, a.Node.Key)
		}
		from = a.Node.ModifiedIndex + 1
		if !strings.HasPrefix(a.Node.Key, prefix) {
			continue
		}
		if !deliver(ctx, updates, dcsclient.Update{Events: []dcsclient.Event{c.toEvent(ctx, a)}, Revision: a.Node.ModifiedIndex}) {
			return context.Cause(ctx)
		}
	}
}

func (c *Client) toEvent(ctx context.Context, a answer) dcsclient.Event {
	switch a.Action {
	case "delete", "compareAndDelete", "expire":
		return dcsclient.Event{Type: dcsclient.Delete, KV: dcsclient.KV{Key: a.Node.Key, ModRevision: a.Node.ModifiedIndex}}
	}
	c.answered(ctx, a.Node.Key)
	return dcsclient.Event{Type: dcsclient.Put, KV: c.toKV(a.Node)}
}

// deliver hands over an update, unless the caller has gone.
func deliver(ctx context.Context, updates chan<- dcsclient.Update, u dcsclient.Update) bool {
	select {
	case updates <- u:
		return true
	case <-ctx.Done():
		return false
	}
}
