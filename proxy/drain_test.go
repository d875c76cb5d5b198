package proxy

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDrain(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	idle, busy := login(t, r, "primary"), login(t, r, "primary")
	expectEcho(t, busy, "a row, and no ReadyForQuery after it")
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan error, 1)
	go func() { drained <- r.Drain(ctx) }()
	expectError(t, idle, stateAdminShutdown)

	held := dialRouter(t, r, "primary")
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return r.Status().Listeners[0].Held == 1 })
	expectEcho(t, busy, "another row")
	cancel()
	if err := <-drained; !errors.Is(err, context.Canceled) {
		t.Fatalf("drain ended with %v", err)
	}
	expectEcho(t, busy, "what is busy is left to the next step")
	r.Undrain()
	expectMessage(t, held, 'R')

	// Once more: the busy session ends its transaction, and the next term ends the drain.
	go func() { drained <- r.Drain(t.Context()) }()
	expectMessage(t, held, 'K')
	expectMessage(t, held, 'Z')
	expectError(t, held, stateAdminShutdown)
	write(t, busy, []byte(commit))
	expectMessage(t, busy, 'Z')
	expectError(t, busy, stateAdminShutdown)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	r.Publish(tableOf(2, a.backend(RolePrimary)))
	expectEcho(t, login(t, r, "primary"), "the new term's sessions start")
}

// A client that has just been let in is not ended before its first statement has had an answer.
func TestDrainLetsAFreshSessionAsk(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	fresh := login(t, r, "primary")
	r.mu.Lock()
	for _, s := range r.sessions {
		s.since = time.Now().Add(time.Hour) // however slow the machine is
	}
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*drainLook)
	defer cancel()
	if err := r.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("drain ended with %v", err)
	}
	write(t, fresh, []byte(commit))
	expectMessage(t, fresh, 'Z')
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectError(t, fresh, stateAdminShutdown)
}
