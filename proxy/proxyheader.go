package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// The PROXY protocol (haproxy.org/download/2.6/doc/proxy-protocol.txt): a header before the client's first byte, by which a load
// balancer says whose connection it passes on.

// errProxyHeader is the cause when a peer that must send a PROXY header does not, or sends a broken one.
var errProxyHeader = errors.New("no proper PROXY header")

var proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")

const (
	proxyV1Max = 107  // section 2.1: "PROXY UNKNOWN" with the longest addresses
	proxyV2Max = 4096 // header, addresses and extensions; the protocol would allow 64 KiB
)

// parseProxyHeader reads the header at the beginning of p, in either version. When p is too short it says how many bytes are
// needed in all before it is worth asking again. src is invalid when the balancer speaks for itself (a health check) or does
// not know.
func parseProxyHeader(p []byte) (src netip.AddrPort, size, need int, err error) {
	const shortest = 8 // tells the versions apart
	switch {
	case len(p) < shortest:
		return src, 0, shortest, nil
	case bytes.HasPrefix(p, []byte("PROXY ")):
		return parseProxyV1(p)
	case bytes.HasPrefix(p, proxyV2[:shortest]):
		return parseProxyV2(p)
	}
	return src, 0, 0, fmt.Errorf("%w: it begins with %q", errProxyHeader, p[:shortest])
}

func parseProxyV1(p []byte) (src netip.AddrPort, size, need int, err error) {
	end := bytes.Index(p[:min(len(p), proxyV1Max)], []byte("\r\n"))
	if end < 0 {
		if len(p) >= proxyV1Max {
			return src, 0, 0, fmt.Errorf("%w: version 1 without an end of line", errProxyHeader)
		}
		return src, 0, len(p) + 1, nil
	}
	size = end + 2
	f := strings.Split(string(p[:end]), " ")
	if len(f) >= 2 && f[1] == "UNKNOWN" {
		return src, size, 0, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return src, 0, 0, fmt.Errorf("%w: %q", errProxyHeader, p[:end])
	}
	src, err = netip.ParseAddrPort(joinAddr(f[2], f[4]))
	if err != nil || src.Addr().Is4() != (f[1] == "TCP4") {
		return netip.AddrPort{}, 0, 0, fmt.Errorf("%w: %q", errProxyHeader, p[:end])
	}
	return src, size, 0, nil
}

func joinAddr(host, port string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]:" + port
	}
	return host + ":" + port
}

func parseProxyV2(p []byte) (src netip.AddrPort, size, need int, err error) {
	if len(p) < 16 {
		return src, 0, 16, nil
	}
	size = 16 + int(binary.BigEndian.Uint16(p[14:]))
	if !bytes.HasPrefix(p, proxyV2) || p[12]>>4 != 2 || p[12]&15 > 1 || size > proxyV2Max {
		return src, 0, 0, fmt.Errorf("%w: version and command 0x%02x, %d bytes", errProxyHeader, p[12], size)
	}
	if len(p) < size {
		return src, 0, size, nil
	}
	if local := p[12]&15 == 0; local {
		return src, size, 0, nil
	}
	body := p[16:size]
	switch family := p[13] >> 4; {
	case family == 1 && len(body) >= 12:
		src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(body)), binary.BigEndian.Uint16(body[8:]))
	case family == 2 && len(body) >= 36:
		src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(body)), binary.BigEndian.Uint16(body[32:]))
	case family == 1 || family == 2:
		return src, 0, 0, fmt.Errorf("%w: %d bytes of addresses", errProxyHeader, len(body))
	}
	return src, size, 0, nil
}

// proxyHeader is the version 2 header that tells a backend of a client. Addresses of two families are both written as IPv6; those of
// a UNIX client are "unspecified".
func proxyHeader(src, dst netip.AddrPort) []byte {
	h := append(bytes.Clone(proxyV2), 0x21)
	var body []byte
	switch {
	case !src.IsValid() || !dst.IsValid():
		return append(h, 0, 0, 0)
	case src.Addr().Unmap().Is4() && dst.Addr().Unmap().Is4():
		h = append(h, 0x11)
		body = append(src.Addr().Unmap().AsSlice(), dst.Addr().Unmap().AsSlice()...)
	default:
		h = append(h, 0x21)
		a, b := src.Addr().As16(), dst.Addr().As16()
		body = append(a[:], b[:]...)
	}
	body = binary.BigEndian.AppendUint16(body, src.Port())
	body = binary.BigEndian.AppendUint16(body, dst.Port())
	return append(binary.BigEndian.AppendUint16(h, uint16(len(body))), body...)
}
