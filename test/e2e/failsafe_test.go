//go:build e2e

package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// TestFailsafe takes the store away from a cluster in failsafe mode: its primary goes on, without a break, for as long as every member agrees,
// also for clients of another data host's router. When one cannot be asked it ends within its lease, and nobody else takes over.
func TestFailsafe(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	path := program(t)
	l := lab.ForTest(t)
	data, store, client := []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, l.Host(t, "store1"), l.Host(t, "app")
	ctx := patience(t)
	s, err := quoratestack.New(quoratestack.Options{
		Binary: path, Hosts: data, StoreOnly: []*lab.Host{store}, Router: client, Expect: 1, DCS: map[string]string{"failsafe_mode": "true"},
	})
	must(t, err)
	for _, h := range data {
		must(t, s.ConfigureToJoin(h, "postgres, proxy"))
	}
	for _, h := range append([]*lab.Host{store, client}, data...) {
		must(t, s.StartHost(h))
	}
	must(t, s.AwaitHealthy(ctx))
	primary := s.Primary(ctx)
	var standby *lab.Host
	for _, h := range data {
		if h != primary {
			standby = h
		}
	}
	ask := func(sql string) (string, error) {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		out, err := client.Run(ctx, lab.Spec{Args: []string{
			"psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, "host=" + standby.IP() + " port=5000 user=postgres password=postgres dbname=postgres connect_timeout=2",
		}})
		return strings.TrimSpace(out), err
	}
	_, err = ask("CREATE TABLE f (i serial)")
	must(t, err)
	awaitFailsafe(t, ctx, s, primary, len(data))
	started, err := ask("SELECT pg_postmaster_start_time() || ' ' || pg_control_checkpoint()::text")
	must(t, err)

	must(t, store.PowerOff())
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
		if _, err := ask("INSERT INTO f DEFAULT VALUES"); err != nil {
			t.Fatalf("a write through the router of %s while the store is away: %v", standby.Name, err)
		}
	}
	var status struct {
		Active bool `json:"failsafe_mode_is_active"`
	}
	must(t, s.Get(ctx, primary, "/patroni", &status))
	if !status.Active {
		t.Error("the primary does not say that failsafe mode is active")
	}
	must(t, store.PowerOn(), s.StartHost(store), s.AwaitHealthy(ctx))
	if now, err := ask("SELECT pg_postmaster_start_time() || ' ' || pg_control_checkpoint()::text"); err != nil || now[:20] != started[:20] || s.Primary(ctx) != primary {
		t.Errorf("the primary of %s is another one: %s, %v", started, now, err)
	}

	awaitFailsafe(t, ctx, s, primary, len(data))
	for _, h := range data {
		if h != primary && h != standby {
			must(t, store.PowerOff(), h.PowerOff())
			defer func() { must(t, h.PowerOn()) }()
		}
	}
	poll(t, ctx, "the primary to end, as not all members agree", func() bool { _, err := ask("INSERT INTO f DEFAULT VALUES"); return err != nil })
	must(t, store.PowerOn(), s.StartHost(store))
	poll(t, ctx, "the store's return to bring a primary back", func() bool { _, err := ask("INSERT INTO f DEFAULT VALUES"); return err == nil })
}

// awaitFailsafe waits until all members are on the list of those that must agree.
func awaitFailsafe(t *testing.T, ctx context.Context, s *quoratestack.Stack, h *lab.Host, members int) {
	t.Helper()
	poll(t, ctx, "the failsafe list", func() bool {
		var list map[string]string
		return s.Get(ctx, h, "/failsafe", &list) == nil && len(list) == members
	})
}

func poll(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
