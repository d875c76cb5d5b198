package etcdhost

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// longestGap is how long a planned stop of the leader may keep writers waiting. An election by timers, with the timeout that the test sets, takes several times as long.
const longestGap = 2 * time.Second

// A leader that is told to stop hands its leadership over: no lease is lost, writers hardly wait. The peers show certificates from files, and one of another
// authority gets no word in.
func TestLeaderStops(t *testing.T) {
	a := newAuthority(t)
	a.issue("peer", 2)
	all := []site{newSite(t, "a"), newSite(t, "b"), newSite(t, "c")}
	secure := " --peer-client-cert-auth --peer-trusted-ca-file " + a.file("ca.pem") + " --peer-cert-file " + a.file("peer.pem") + " --peer-key-file " + a.file("peer.key")
	hosts := map[string]*running{}
	for _, s := range all {
		hosts[s.name] = run(t, s.line("https", all...)+secure+" --election-timeout 2500", false)
	}
	for _, s := range all {
		get(t, connect(t, s), "k")
	}
	other := newAuthority(t)
	other.issue("peer", 2)
	if err := greetPeer(all[0].peer, other); err == nil {
		t.Error("a peer with a certificate of another authority is listened to")
	}
	if err := greetPeer(all[0].peer, a); err != nil {
		t.Errorf("a peer with a good certificate: %v", err)
	}

	var leader site
	var rest []site
	eventually(t, "a leader", func() bool {
		rest = nil
		for _, s := range all {
			if r, err := connect(t, s).Status(t.Context(), s.client); err == nil && r.Leader == r.Header.MemberId {
				leader = s
			} else {
				rest = append(rest, s)
			}
		}
		return len(rest) == 2
	})
	c := connect(t, rest...)
	lease, err := c.Grant(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	alive, err := c.KeepAlive(ctx, lease.ID)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for range alive {
		}
	}()
	if _, err := c.Put(ctx, "held", "v", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	gaps := make(chan time.Duration, 1)
	stopped := make(chan struct{})
	go func() {
		var worst time.Duration
		var end time.Time
		pace := time.NewTicker(5 * time.Millisecond)
		defer pace.Stop()
		for last := time.Now(); ; {
			one, done := context.WithTimeout(ctx, 500*time.Millisecond)
			_, err := c.Put(one, "k", "v")
			done()
			if now := time.Now(); err == nil {
				worst, last = max(worst, now.Sub(last)), now
			}
			select {
			case <-stopped:
				if end.IsZero() {
					end = time.Now().Add(3 * time.Second)
				}
			default:
			}
			if !end.IsZero() && time.Now().After(end) && time.Since(last) < time.Second || ctx.Err() != nil {
				gaps <- worst
				return
			}
			<-pace.C
		}
	}()
	hosts[leader.name].stop()
	close(stopped)
	select {
	case gap := <-gaps:
		t.Logf("longest time between two puts: %v", gap)
		if gap > longestGap {
			t.Errorf("no put succeeded for %v", gap)
		}
	case <-time.After(patience):
		t.Fatal("no puts after the leader's stop")
	}
	if got := get(t, c, "held"); got != "v" {
		t.Error("the lease was lost")
	}
}

// greetPeer opens a TLS connection to a peer port and waits for what becomes of it: a server that refuses the certificate says so after the handshake.
func greetPeer(addr string, a *authority) error {
	cert, err := tls.LoadX509KeyPair(a.file("peer.pem"), a.file("peer.key"))
	if err != nil {
		return err
	}
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}) //nolint:gosec // it is the client that is tested
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	if e, ok := err.(net.Error); ok && e.Timeout() {
		return nil // it waits for a greeting
	}
	return err
}

func TestProfiles(t *testing.T) {
	for flag, want := range map[string]int{"": http.StatusNotFound, " --enable-pprof": http.StatusOK} {
		s := newSite(t, "n")
		h := run(t, s.line("http", s)+flag, true)
		if strings.Contains(h.log.String(), "enable-pprof") {
			t.Error("the flag is said to have no meaning")
		}
		r, err := http.Get("http://" + s.client + "/debug/pprof/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("with %q: status %d, want %d", flag, r.StatusCode, want)
		}
	}
}
