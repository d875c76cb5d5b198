package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"quorate/internal/boottime"
)

func TestSessionGoesToThePrimary(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	expectEcho(t, login(t, r, "primary"), "to the primary")
	expectEcho(t, login(t, r, "replica"), "to a replica")
	if a.tried() != 1 || b.tried() != 1 {
		t.Fatalf("sessions: %d on the primary, %d on the replica; want one on each", a.tried(), b.tried())
	}
	got := r.Sessions()
	if len(got) != 2 || got[0].User != "ann" || got[0].Database != "shop" || got[0].Backend != "a" || got[0].Term != "1@1" || got[1].Term != "" {
		t.Fatalf("sessions: %+v", got)
	}
}

func TestClientWaitsForThePrimary(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	c := dialRouter(t, r, "primary")
	write(t, c, startup("ann", "shop"))
	eventually(t, "one client held", func() bool { return r.Status().Listeners[0].Held == 1 })
	r.Publish(tableOf(0, a.backend(RoleReplica)))
	if n := r.Status().Listeners[0].Held; n != 1 {
		t.Fatalf("%d clients held after a table without a primary, want 1", n)
	}
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	expectMessage(t, c, 'R')
}

func TestHoldEndsWithAnError(t *testing.T) {
	hold := func(o *Options) {
		for i := range o.Listeners {
			o.Listeners[i].Hold.Timeout = 20 * time.Millisecond
		}
	}
	for name, c := range map[string]struct {
		first []byte
		after []byte // sent once the router has declined encryption
	}{
		"plain":        {first: startup("ann", "shop")},
		"ssl declined": {first: packet(codeSSL, nil), after: startup("ann", "shop")},
		"gss declined": {first: packet(codeGSS, nil), after: startup("ann", "shop")},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t, hold)
			conn := dialRouter(t, r, "primary")
			write(t, conn, c.first)
			if c.after != nil {
				one := make([]byte, 1)
				if _, err := io.ReadFull(conn, one); err != nil || one[0] != 'N' {
					t.Fatalf("answer %q, %v; want N", one, err)
				}
				write(t, conn, c.after)
			}
			if text := expectError(t, conn, stateCannotConnectNow); !strings.Contains(text, "no primary is available") {
				t.Fatalf("message %q does not name what is missing", text)
			}
		})
	}
	t.Run("direct tls", func(t *testing.T) {
		r := newRouter(t, hold)
		conn := dialRouter(t, r, "primary")
		write(t, conn, []byte{tlsHandshake, 3, 1, 0, 5, 1, 2, 3, 4, 5})
		expectEnd(t, conn)
	})
}

func TestHoldIsBounded(t *testing.T) {
	r := newRouter(t, func(o *Options) { o.Listeners[0].Hold.MaxClients = 1 })
	first := dialRouter(t, r, "primary")
	write(t, first, startup("ann", "shop"))
	eventually(t, "one client held", func() bool { return r.Status().Listeners[0].Held == 1 })
	second := dialRouter(t, r, "primary")
	write(t, second, startup("bob", "shop"))
	expectError(t, second, stateCannotConnectNow)
	_ = first.Close()
	eventually(t, "the place of a client that hung up free again", func() bool { return r.Status().Listeners[0].Held == 0 })
}

func TestNewTermEndsTheOldOnesSessionsFirst(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	c := login(t, r, "primary")
	onReplica := login(t, r, "replica")
	r.Publish(tableOf(2, a.backend(RoleReplica), b.backend(RolePrimary)))
	expectError(t, c, stateAdminShutdown)
	expectEcho(t, onReplica, "sessions on replicas live on, also when the replica is promoted")
	expectEcho(t, login(t, r, "primary"), "to the new primary")
	if b.tried() != 2 {
		t.Fatalf("%d sessions on b, want 2", b.tried())
	}
	// The session that came by the replica's door can write now, so it ends with b's term.
	r.Publish(tableOf(3, a.backend(RolePrimary), b.backend(RoleReplica)))
	expectError(t, onReplica, stateAdminShutdown)
}

func TestRestoredStoreIsANewTerm(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(7, a.backend(RolePrimary)))
	c := login(t, r, "primary")
	other := tableOf(7, a.backend(RolePrimary))
	other.Term.Cluster = 2
	r.Publish(other)
	expectError(t, c, stateAdminShutdown)
}

func TestExpiredTableServesNoWrites(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	r := newRouter(t, nil)
	table := tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica))
	r.Publish(table)
	c, read := login(t, r, "primary"), login(t, r, "replica")
	table.ValidUntil = boottime.Now().Add(30 * time.Millisecond)
	r.Publish(table)
	expectError(t, c, stateAdminShutdown)
	expectEcho(t, read, "replicas are served on")
	expectEcho(t, login(t, r, "replica"), "and take new sessions")
	held := dialRouter(t, r, "primary")
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return r.Status().Listeners[0].Held == 1 })
	if a.tried() != 1 {
		t.Fatalf("%d sessions on the primary of an expired table", a.tried())
	}
	table.ValidUntil = boottime.Now().Add(time.Hour)
	r.Publish(table)
	expectMessage(t, held, 'R')
}

func TestRevokeReturnsWhenSessionsAreGone(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := login(t, r, "primary")
	if err := r.Revoke(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-a.ended; !errors.Is(err, io.EOF) {
		t.Fatalf("the server saw %v, want the end", err)
	}
	expectError(t, c, stateAdminShutdown)
	if s := r.Status(); s.Term != "none" {
		t.Fatalf("term %s after the revocation", s.Term)
	}
}

// A revocation holds even if a table that says otherwise overtakes it.
func TestRevokeIsNotOvertaken(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	table := tableOf(1, a.backend(RolePrimary))
	for range 30 {
		r.Publish(table)
		c := login(t, r, "primary")
		done := make(chan error, 1)
		go func() { done <- r.Revoke(t.Context()) }()
		for end := false; !end; {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				end = true
			default:
				r.Publish(table)
			}
		}
		expectError(t, c, stateAdminShutdown)
	}
}

func TestVanishedReplicaEndsItsSessions(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	c := login(t, r, "replica")
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	expectError(t, c, stateAdminShutdown)
}

// A server that is starting up or shutting down is no answer for a client that can wait.
func TestServersNotNowIsHidden(t *testing.T) {
	a := newServer(t, "a")
	a.refusal = func(attempt int) []byte {
		if attempt == 1 {
			return fatal(stateCannotConnectNow, "the database system is starting up", "")
		}
		return nil
	}
	for name, first := range map[string][]byte{"plain": nil, "after ssl was refused": packet(codeSSL, nil)} {
		t.Run(name, func(t *testing.T) {
			a.mu.Lock()
			a.attempts = 0
			a.mu.Unlock()
			r := newRouter(t, nil)
			r.Publish(tableOf(1, a.backend(RolePrimary)))
			c := dialRouter(t, r, "primary")
			if first != nil {
				write(t, c, first)
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
			}
			write(t, c, startup("ann", "shop"))
			eventually(t, "a client held", func() bool { return r.Status().Listeners[0].Held == 1 })
			if !r.Status().Backends[0].Suspect {
				t.Error("the server is not suspect")
			}
			r.Publish(tableOf(1, a.backend(RolePrimary)))
			expectMessage(t, c, 'R')
		})
	}
}

// A server that falls silent within its refusal is left for another one, as one that is silent before it.
func TestServerThatStallsInItsRefusal(t *testing.T) {
	a := newServer(t, "a")
	a.stalls = true
	a.refusal = func(attempt int) []byte {
		if attempt == 1 {
			return fatal("28P01", "password authentication failed", "")[:9]
		}
		return nil
	}
	r := newRouter(t, func(o *Options) { o.StartTimeout = 200 * time.Millisecond })
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := dialRouter(t, r, "primary")
	write(t, c, startup("ann", "shop"))
	expectMessage(t, c, 'R')
}

func TestOtherErrorsOfAServerPass(t *testing.T) {
	a := newServer(t, "a")
	a.refusal = func(int) []byte { return fatal("28P01", "password authentication failed", "") }
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := dialRouter(t, r, "primary")
	write(t, c, startup("ann", "shop"))
	expectError(t, c, "28P01")
}

func TestDeadBackendIsSuspectUntilTheNextTable(t *testing.T) {
	dead, live := newServer(t, "dead"), newServer(t, "live")
	dead.stop()
	r := newRouter(t, nil)
	p := newServer(t, "p")
	r.Publish(tableOf(1, p.backend(RolePrimary), dead.backend(RoleReplica), live.backend(RoleReplica)))
	for range 4 {
		expectEcho(t, login(t, r, "replica"), "some replica answers")
	}
	if live.tried() != 4 {
		t.Fatalf("%d sessions on the live replica, want 4", live.tried())
	}
}

func TestStopDrains(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := login(t, r, "primary")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Stop(ctx) }()
	eventually(t, "the door closed", func() bool {
		n, err := net.Dial("tcp", r.Addr("primary").String())
		if err == nil {
			_ = n.Close()
		}
		return err != nil
	})
	expectEcho(t, c, "a session outlives the door")
	cancel()
	expectError(t, c, stateAdminShutdown)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestStopWhenSessionsHaveLeft(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := login(t, r, "primary")
	held := dialRouter(t, r, "replica")
	write(t, held, startup("ann", "shop"))
	eventually(t, "a client held", func() bool { return r.Status().Listeners[1].Held == 1 })
	done := make(chan error, 1)
	go func() { done <- r.Stop(context.Background()) }()
	expectError(t, held, stateCannotConnectNow)
	_ = c.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestKill(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary)))
	c := login(t, r, "primary")
	if err := r.Kill(r.Sessions()[0].ID); err != nil {
		t.Fatal(err)
	}
	expectError(t, c, stateAdminShutdown)
	eventually(t, "no session", func() bool { return len(r.Sessions()) == 0 })
	if err := r.Kill(1); !errors.Is(err, ErrNoSession) {
		t.Fatalf("Kill of a session that is gone: %v", err)
	}
}

// Tables come with every renewal and mostly say nothing new. Clients that arrive just then must neither wait nor be forgotten.
func TestRenewalsDisturbNobody(t *testing.T) {
	a := newServer(t, "a")
	r := newRouter(t, nil)
	table := tableOf(1, a.backend(RolePrimary))
	r.Publish(table)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				table.ValidUntil = boottime.Now().Add(time.Hour)
				r.Publish(table)
			}
		}
	}()
	kept := login(t, r, "primary")
	for range 200 {
		c := login(t, r, "primary")
		_ = c.Close()
	}
	expectEcho(t, kept, "sessions of the same term live on")
	close(stop)
	<-done
	// The other way round: a client that waits because a change is under way goes through when that turns out to be the old table again.
	for range 100 {
		c := dialRouter(t, r, "primary")
		write(t, c, startup("ann", "shop"))
		r.Publish(tableOf(0, a.backend(RoleReplica)))
		r.Publish(table)
		expectMessage(t, c, 'R')
		_ = c.Close()
	}
}
