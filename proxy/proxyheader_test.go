package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

func v2(command, family byte, body []byte) []byte {
	p := append(bytes.Clone(proxyV2), 0x20|command, family)
	return append(binary.BigEndian.AppendUint16(p, uint16(len(body))), body...)
}

func TestParseProxyHeader(t *testing.T) {
	four := []byte{192, 0, 2, 1, 198, 51, 100, 1, 0x30, 0x39, 0x15, 0x38}
	six := append(append(bytes.Repeat([]byte{0x20}, 16), bytes.Repeat([]byte{0x21}, 16)...), 0x30, 0x39, 0x15, 0x38)
	for name, c := range map[string]struct {
		in  []byte
		src string
		bad bool
	}{
		"v1 tcp4":            {in: []byte("PROXY TCP4 192.0.2.1 198.51.100.1 12345 5432\r\n"), src: "192.0.2.1:12345"},
		"v1 tcp6":            {in: []byte("PROXY TCP6 2001:db8::1 2001:db8::2 12345 5432\r\n"), src: "[2001:db8::1]:12345"},
		"v1 unknown":         {in: []byte("PROXY UNKNOWN\r\n")},
		"v1 unknown, long":   {in: []byte("PROXY UNKNOWN ffff:f 0 0 0\r\n")},
		"v2 tcp4":            {in: v2(1, 0x11, four), src: "192.0.2.1:12345"},
		"v2 tcp4, extension": {in: v2(1, 0x11, append(bytes.Clone(four), 3, 0, 4, 1, 2, 3, 4)), src: "192.0.2.1:12345"},
		"v2 tcp6":            {in: v2(1, 0x21, six), src: "[2020:2020:2020:2020:2020:2020:2020:2020]:12345"},
		"v2 local":           {in: v2(0, 0, nil)},
		"v2 local, address":  {in: v2(0, 0x11, four)},
		"v2 unix":            {in: v2(1, 0x31, make([]byte, 216))},
		"none":               {in: startup("ann", "shop"), bad: true},
		"v1 family mismatch": {in: []byte("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), bad: true},
		"v1 no port":         {in: []byte("PROXY TCP4 192.0.2.1 198.51.100.1\r\n"), bad: true},
		"v1 port too large":  {in: []byte("PROXY TCP4 192.0.2.1 198.51.100.1 99999 1\r\n"), bad: true},
		"v1 endless":         {in: []byte("PROXY TCP4 " + strings.Repeat("1", 200)), bad: true},
		"v2 version 3":       {in: append(append(bytes.Clone(proxyV2), 0x31, 0x11), 0, 0), bad: true},
		"v2 short addresses": {in: v2(1, 0x11, four[:11]), bad: true},
		"v2 huge":            {in: append(append(bytes.Clone(proxyV2), 0x21, 0x11), 0xff, 0xff), bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			src, size, need, err := parseProxyHeader(append(bytes.Clone(c.in), "the rest"...))
			if c.bad {
				if !errors.Is(err, errProxyHeader) {
					t.Fatalf("%v, size %d, need %d, error %v; want it refused", src, size, need, err)
				}
				return
			}
			want, _ := netip.ParseAddrPort(c.src)
			if err != nil || need != 0 || size != len(c.in) || src != want {
				t.Fatalf("%v, size %d of %d, need %d, error %v", src, size, len(c.in), need, err)
			}
			for n := range c.in {
				if _, _, need, err := parseProxyHeader(c.in[:n]); err != nil || need <= n || need > max(len(c.in), 16) {
					t.Fatalf("the first %d of %d bytes: need %d, %v", n, len(c.in), need, err)
				}
			}
		})
	}
}

func TestProxyHeaderRoundTrip(t *testing.T) {
	for _, c := range [][2]string{{"192.0.2.1:1", "198.51.100.1:2"}, {"[2001:db8::1]:1", "[2001:db8::2]:2"}, {"192.0.2.1:1", "[2001:db8::2]:2"}, {"", ""}} {
		src, _ := netip.ParseAddrPort(c[0])
		dst, _ := netip.ParseAddrPort(c[1])
		p := proxyHeader(src, dst)
		got, size, need, err := parseProxyHeader(p)
		if err != nil || need != 0 || size != len(p) || got.Addr().Unmap() != src.Addr() || got.Port() != src.Port() {
			t.Errorf("%v: %v, size %d of %d, need %d, %v", c, got, size, len(p), need, err)
		}
	}
}

// FuzzProxyHeader checks that the parser terminates: it never asks for what it has, nor for more than it takes.
func FuzzProxyHeader(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 198.51.100.1 12345 5432\r\n"))
	f.Add(v2(1, 0x11, make([]byte, 12)))
	f.Fuzz(func(t *testing.T, p []byte) {
		src, size, need, err := parseProxyHeader(p)
		if need > 0 && need <= len(p) || need > proxyV2Max || size > len(p) || size > 0 && (need > 0 || err != nil) {
			t.Fatalf("%v, size %d, need %d, have %d, %v", src, size, need, len(p), err)
		}
		if err == nil && need == 0 && size == 0 {
			t.Fatal("neither a header nor an error")
		}
	})
}

// A balancer's word about the client counts where it is allowed to give it, and is passed on where that is wanted.
func TestProxyProtocolEndToEnd(t *testing.T) {
	heard := make(chan []byte, 1)
	backend := raw(t, func(c *net.TCPConn) {
		p := make([]byte, 28)
		_, _ = io.ReadFull(c, p)
		heard <- p
		_, _ = c.Write(message('Z', []byte{'I'}))
		_, _ = c.Read(make([]byte, 1000))
		_, _ = c.Read(make([]byte, 1))
	})
	loopback := netip.MustParsePrefix("127.0.0.0/8")
	r := newRouter(t, func(o *Options) { o.Listeners[0].ProxyFrom, o.Listeners[0].SendProxy = []netip.Prefix{loopback}, true })
	r.Publish(tableOf(1, backend))
	c := dialRouter(t, r, "primary")
	write(t, c, append([]byte("PROXY TCP4 192.0.2.77 198.51.100.1 12345 5432\r\n"), startup("ann", "shop")...))
	src, _, _, err := parseProxyHeader(<-heard)
	if err != nil || src.String() != "192.0.2.77:12345" {
		t.Fatalf("the backend was told of %v, %v", src, err)
	}
	expectMessage(t, c, 'Z')
	if s := r.Sessions(); len(s) != 1 || s[0].Client != "192.0.2.77:12345" {
		t.Fatalf("sessions: %+v", s)
	}
	without := dialRouter(t, r, "primary")
	write(t, without, startup("ann", "shop"))
	expectEnd(t, without)
}
