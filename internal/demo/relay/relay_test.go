package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// bench is two hosts and a relay between them. Whoever dials is whom the test says.
type bench struct {
	t     *testing.T
	relay *Relay
	a, b  Host
	tcp   *net.TCPListener
	udp   map[string]*net.UDPConn
	port  uint16

	mu   sync.Mutex
	from string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	p := &bench{
		t: t, udp: map[string]*net.UDPConn{}, from: "a",
		a: Host{"a", netip.MustParseAddr("127.84.0.1"), netip.MustParseAddr("127.84.0.101")},
		b: Host{"b", netip.MustParseAddr("127.84.0.2"), netip.MustParseAddr("127.84.0.102")},
	}
	var err error
	p.tcp, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.b.Addr, 0)))
	must(t, err)
	t.Cleanup(func() { p.tcp.Close() })
	p.port = p.tcp.Addr().(*net.TCPAddr).AddrPort().Port()
	for _, h := range []Host{p.a, p.b} {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Addr, p.port)))
		must(t, err)
		t.Cleanup(func() { c.Close() })
		p.udp[h.Name] = c
	}
	p.relay, err = Start(Options{Hosts: []Host{p.a, p.b}, TCP: []uint16{p.port}, UDP: []uint16{p.port}, Owner: p.owner})
	must(t, err)
	t.Cleanup(p.relay.Close)
	return p
}

func (p *bench) owner(netip.AddrPort, netip.AddrPort) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.from
}

func (p *bench) dialledBy(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.from = host
}

// dial connects to b by its second address; the other end is b's.
func (p *bench) dial() (client, server *net.TCPConn) {
	p.t.Helper()
	client = p.knock()
	must(p.t, p.tcp.SetDeadline(time.Now().Add(10*time.Second)))
	server, err := p.tcp.AcceptTCP()
	must(p.t, err)
	p.t.Cleanup(func() { server.Close() })
	return client, server
}

func (p *bench) knock() *net.TCPConn {
	p.t.Helper()
	c, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(netip.AddrPortFrom(p.b.Via, p.port)))
	must(p.t, err)
	p.t.Cleanup(func() { c.Close() })
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}

func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
	got := make([]byte, len(want))
	_, err := io.ReadFull(c, got)
	must(t, err)
	if string(got) != want {
		t.Fatalf("found %q, want %q", got, want)
	}
}

// silent says that nothing arrives for a moment. It can only miss a fault, not invent one.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if n, err := c.Read(make([]byte, 1)); n > 0 || !isTimeout(err) {
		t.Fatalf("read %d bytes, %v, from a host that is cut off", n, err)
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

func TestStreamsPassWithTheirEnds(t *testing.T) {
	p := newBench(t)
	client, server := p.dial()
	long := strings.Repeat("0123456789", 20000)
	go func() { _, _ = io.WriteString(client, long); _ = client.CloseWrite() }()
	got, err := io.ReadAll(server)
	must(t, err)
	if string(got) != long {
		t.Fatalf("%d bytes arrived of %d", len(got), len(long))
	}
	send(t, server, "answer after the end of the question")
	expect(t, client, "answer after the end of the question")
}

func TestCutHoldsBackAndJoinDelivers(t *testing.T) {
	for _, victim := range []string{"a", "b"} {
		t.Run("cut "+victim, func(t *testing.T) {
			p := newBench(t)
			client, server := p.dial()
			send(t, client, "before")
			expect(t, server, "before")
			p.relay.Cut(victim)
			send(t, client, "question")
			send(t, server, "answer")
			silent(t, client)
			silent(t, server)
			p.relay.Join(victim)
			expect(t, server, "question")
			expect(t, client, "answer")
		})
	}
}

func TestNewConnectionsWaitForTheCutToEnd(t *testing.T) {
	p := newBench(t)
	p.relay.Cut("a")
	client := p.knock()
	send(t, client, "hello")
	must(t, p.tcp.SetDeadline(time.Now().Add(50*time.Millisecond)))
	if c, err := p.tcp.Accept(); err == nil {
		c.Close()
		t.Fatal("a host that is cut off has reached another")
	}
	p.relay.Join("a")
	must(t, p.tcp.SetDeadline(time.Now().Add(10*time.Second)))
	server, err := p.tcp.AcceptTCP()
	must(t, err)
	defer server.Close()
	expect(t, server, "hello")
}

func TestHostReachesItselfWhileCutOff(t *testing.T) {
	p := newBench(t)
	p.dialledBy("b")
	p.relay.Cut("b")
	client, server := p.dial()
	send(t, client, "to myself")
	expect(t, server, "to myself")
}

func TestStrangersAreCutFromTheVictimOnly(t *testing.T) {
	p := newBench(t)
	p.dialledBy("")
	p.relay.Cut("a")
	client, server := p.dial()
	send(t, client, "hello")
	expect(t, server, "hello")
	p.relay.Cut("b")
	send(t, client, "more")
	silent(t, server)
}

func TestNobodyListensResets(t *testing.T) {
	p := newBench(t)
	p.tcp.Close()
	client, err := net.Dial("tcp4", netip.AddrPortFrom(p.b.Via, p.port).String())
	if err != nil {
		return // the reset came before the connection was reported
	}
	defer client.Close()
	must(t, client.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := client.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("a connection to a dead process ended with %v", err)
	}
}

func TestDatagramsComeFromTheSendersSecondAddress(t *testing.T) {
	p := newBench(t)
	to := netip.AddrPortFrom(p.b.Via, p.port)
	read := func() (string, netip.AddrPort) {
		must(t, p.udp["b"].SetReadDeadline(time.Now().Add(10*time.Second)))
		buf := make([]byte, 100)
		n, from, err := p.udp["b"].ReadFromUDPAddrPort(buf)
		must(t, err)
		return string(buf[:n]), from
	}
	write := func(text string) {
		_, err := p.udp["a"].WriteToUDPAddrPort([]byte(text), to)
		must(t, err)
	}
	write("ping")
	if text, from := read(); text != "ping" || from != netip.AddrPortFrom(p.a.Via, p.port) {
		t.Fatalf("%q from %v", text, from)
	}
	p.relay.Cut("a")
	write("lost")
	silent(t, p.udp["b"])
	p.relay.Join("a")
	write("again")
	if text, _ := read(); text != "again" {
		t.Fatalf("%q arrived; what is sent into a cut is lost", text)
	}
}

func TestCloseEndsConnectionsInACut(t *testing.T) {
	p := newBench(t)
	client, _ := p.dial()
	p.relay.Cut("a")
	send(t, client, "never to arrive")
	p.relay.Close()
	must(t, client.SetReadDeadline(time.Now().Add(10*time.Second)))
	if _, err := client.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Fatalf("the connection ended with %v", err)
	}
}
