package node

import (
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/pgctl/ha"
	"quorate/proxy"
	"quorate/raftstore/dcs"
)

// pgMessage is one of PostgreSQL's messages.
func pgMessage(kind byte, body ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)), body...)
}

// idleServer lets everybody in, and says that no transaction is open. It returns its address.
func idleServer(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1024))
				_, _ = c.Write(slices.Concat(pgMessage('R', 0, 0, 0, 0), pgMessage('Z', 'I')))
				_, _ = io.Copy(io.Discard, c)
			}()
		}
	}()
	return ln.Addr().String()
}

// Before a change that is planned idle sessions to the primary end, new ones wait, and the agent waits for no longer than it takes. A change that
// is called off, or that is for later, or is another node's, ends nothing.
func TestDrainBeforeAPlannedChange(t *testing.T) {
	r, err := proxy.New(proxy.Options{Listeners: []proxy.ListenerOptions{{Name: "primary", Listen: "127.0.0.1:0", Rule: proxy.Rule{Target: proxy.TargetPrimary}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := &Node{current: &config.Config{Proxy: config.Proxy{Drain: time.Minute}}, log: slog.New(slog.DiscardHandler), router: r}
	t.Cleanup(func() { _ = n.stopRouter(t.Context()) })

	serverAddr := idleServer(t)
	term := dcs.Term{Cluster: 1, Rev: 2}
	v := func(change func(*view)) {
		v := &view{seenAt: boottime.Now(), ttl: time.Minute, scope: "s", own: true, cluster: &dcs.Cluster{
			Initialize: "1", Leader: &dcs.Leader{Name: "a", Term: term},
			Members: []dcs.Member{{Name: "a", ConnURL: "postgres://" + serverAddr + "/postgres", Role: "primary", State: "running"}},
		}}
		v.snap.Self.Name = "b"
		change(v)
		n.route(v)
	}

	login := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", r.Addr("primary").String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		body := []byte("\x00\x03\x00\x00user\x00ann\x00\x00")
		if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
			t.Fatal(err)
		}
		return c
	}
	expect := func(c net.Conn, want byte, size int) {
		t.Helper()
		p := make([]byte, size)
		if _, err := io.ReadFull(c, p); err != nil || p[0] != want {
			t.Fatalf("got %q, %v; want a message %q", p, err, want)
		}
	}
	v(func(*view) {})
	idle := login()
	expect(idle, 'R', 15)

	v(func(v *view) {
		v.cluster.Failover = dcs.Failover{Leader: "a", ScheduledAt: "2099-01-01T00:00:00+00:00"}
	})
	v(func(v *view) { v.cluster.Failover = dcs.Failover{Leader: "z"} })
	v(func(v *view) { v.snap.Mem.Handover.Term = term }) // this host's memory, and another one leads
	if n.drains.one != nil || len(r.Sessions()) != 1 {
		t.Fatal("a drain began for nothing")
	}

	v(func(v *view) { v.cluster.Failover = dcs.Failover{Leader: "a", Candidate: "b"} })
	expect(idle, 'E', 5)
	n.drainFirst(t.Context()) // returns long before the minute is over: nobody is left
	held := login()
	eventually(t, "a new client waits", func() bool { return r.Waiting() == 1 })
	v(func(*view) {}) // called off
	expect(held, 'R', 15)

	// The agent of this host hands over without a request, as it does when it is stopped.
	v(func(v *view) { v.snap.Self.Name, v.snap.Mem.Handover.Term = "a", term; running(v, term) })
	expect(held, 'E', 5)
	n.drainFirst(t.Context())
	if len(r.Sessions()) != 0 {
		t.Error("sessions are left")
	}
}

// running makes the view that of a primary with its lease.
func running(v *view, term dcs.Term) {
	v.snap.PG.Phase = ha.Running
	v.snap.Lease.Deadline = boottime.Now().Add(time.Minute)
	v.snap.Fence.Term = term
}
