package proxy

import (
	"context"
	"io"
	"slices"
	"sync"
	"time"

	"quorate/internal/boottime"
)

const (
	cancelFanOut = 4                // servers asked at once about a key that is not ours
	cancelWait   = 10 * time.Second // for a server to close after a cancel request
)

// cancelQuery passes a cancel request to the server that issued its key. For a key that this router has not seen pass, it
// asks every backend of the listener: those that did not issue it ignore it. It returns when the servers have closed, which is when
// libpq's PQcancel may.
func (r *Router) cancelQuery(l *listener, p start, greeting []byte) {
	addrs := r.cancelTargets(l, p.key)
	r.metrics.cancels.WithLabelValues(l.opts().Name).Inc()
	ctx, stop := context.WithTimeout(r.ctx, cancelWait)
	defer stop()
	slots := make(chan struct{}, cancelFanOut)
	var sent sync.WaitGroup
	for _, addr := range addrs {
		slots <- struct{}{}
		sent.Go(func() {
			defer func() { <-slots }()
			if err := r.sendCancel(ctx, addr, slices.Concat(greeting, p.raw)); err != nil {
				r.complain("cannot pass a cancel request on", "listener", l.opts().Name, "address", addr, "err", err)
			}
		})
	}
	sent.Wait()
}

// cancelTargets are the addresses that may have issued key.
func (r *Router) cancelTargets(l *listener, key string) (addrs []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.keys[key]; s != nil {
		return []string{s.backend.Addr}
	}
	if r.table == nil {
		return nil
	}
	q := Query{Table: r.table, Now: boottime.Now(), Rule: l.opts().Rule}
	for _, b := range r.table.Backends {
		if mayServe(q, b) { // lag and load say nothing about sessions that exist
			addrs = append(addrs, b.Addr)
		}
	}
	slices.Sort(addrs)
	return slices.Compact(addrs)
}

func (r *Router) sendCancel(ctx context.Context, addr string, packet []byte) error {
	server, err := r.dial(ctx, nil, addr, nil)
	if err != nil {
		return err
	}
	defer func() { _ = server.Close() }()
	defer context.AfterFunc(ctx, func() { shut(server) })()
	if _, err := server.Write(packet); err != nil {
		return err
	}
	_, _ = io.CopyN(io.Discard, server, 1) // until it closes; there is no answer
	return nil
}
