package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"quorate/internal/boottime"
	"quorate/proxy"
)

// changes is how many changes of the primary are measured.
const changes = 200

// measureChange is the time from the moment that a router is told of a new primary to the first byte from it, at a client that has been
// waiting. HAProxy has no such figure: it finds out by failed and passed checks, in seconds.
func (s *stage) measureChange(ctx context.Context) (middle, worst time.Duration, err error) {
	addr := freeAddr()
	r, err := proxy.New(proxy.Options{Listeners: []proxy.ListenerOptions{{Name: "primary", Listen: addr, Rule: proxy.Rule{Target: proxy.TargetPrimary}}}})
	if err != nil {
		return 0, 0, err
	}
	if err := r.Start(ctx); err != nil {
		return 0, 0, err
	}
	defer func() {
		now, cancel := context.WithCancel(context.WithoutCancel(ctx))
		cancel()
		_ = r.Stop(now)
	}()
	var took []time.Duration
	for rev := range int64(changes) {
		d, err := s.oneChange(r, addr, rev+1)
		if err != nil {
			return 0, 0, fmt.Errorf("change %d: %w", rev+1, err)
		}
		took = append(took, d)
	}
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1], nil
}

func (s *stage) oneChange(r *proxy.Router, addr string, rev int64) (time.Duration, error) {
	table := proxy.Table{
		Scope: "bench", ValidUntil: boottime.Now().Add(time.Minute),
		Backends: []proxy.Backend{{Name: "one", Addr: s.bare, Role: proxy.RoleReplica, Running: true}},
	}
	r.Publish(table)
	type answer struct {
		at   time.Time
		conn net.Conn
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		c, err := open(addr, userEcho)
		got <- answer{time.Now(), c, err}
	}()
	for r.Status().Listeners[0].Held == 0 {
		select {
		case a := <-got:
			return 0, fmt.Errorf("the client did not wait: %v", a.err)
		case <-time.After(100 * time.Microsecond):
		}
	}
	table.Term = proxy.Term{Cluster: 1, Rev: rev}
	table.Backends[0].Role = proxy.RolePrimary
	began := time.Now()
	r.Publish(table)
	a := <-got
	if a.err != nil {
		return 0, a.err
	}
	return a.at.Sub(began), a.conn.Close()
}
