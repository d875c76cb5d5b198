// Package dnstest is a DNS server on loopback, for tests.
package dnstest

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Start serves SRV records, "TARGET PORT" by name, until the test ends, and is the resolver that asks there.
func Start(t *testing.T, records map[string][]string) *net.Resolver {
	t.Helper()
	zone := map[string][]dns.RR{}
	for name, lines := range records {
		for _, line := range lines {
			target, port, _ := strings.Cut(line, " ")
			rr, err := dns.NewRR(name + " 60 IN SRV 0 0 " + port + " " + target)
			if err != nil {
				t.Fatalf("dnstest: %s %s: %v", name, line, err)
			}
			zone[name] = append(zone[name], rr)
		}
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg)
		a.SetReply(q)
		if len(q.Question) == 1 && q.Question[0].Qtype == dns.TypeSRV {
			a.Answer = zone[q.Question[0].Name]
		}
		if len(a.Answer) == 0 {
			a.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(a)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}
