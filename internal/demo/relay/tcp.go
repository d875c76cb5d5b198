package relay

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
)

// connection passes on one connection to a host.
func (r *Relay) connection(client *net.TCPConn, host string, to netip.AddrPort) {
	defer r.release(client)
	from := r.o.Owner(client.RemoteAddr().(*net.TCPAddr).AddrPort(), client.LocalAddr().(*net.TCPAddr).AddrPort())
	if r.links.wait(r.ctx, from, host) != nil {
		return
	}
	server, err := net.DialTCP("tcp4", nil, net.TCPAddrFromAddrPort(to))
	if err != nil {
		_ = client.SetLinger(0) // the client is told with a reset, the nearest to a refusal once the connection stands
		return
	}
	if !r.own(server) {
		return
	}
	defer r.release(server)
	var both sync.WaitGroup
	both.Go(func() { r.pump(server, client, from, host) })
	both.Go(func() { r.pump(client, server, host, from) })
	both.Wait()
}

// pump passes on one direction: bytes, then the end of the stream, or a reset. All of them wait while the link is down.
func (r *Relay) pump(dst, src *net.TCPConn, from, to string) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		if r.links.wait(r.ctx, from, to) != nil {
			return
		}
		if n > 0 {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				abort(dst, src)
				return
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			_ = dst.CloseWrite()
			return
		case err != nil:
			abort(dst, src)
			return
		}
	}
}

// abort resets both connections, so that the other direction ends too.
func abort(conns ...*net.TCPConn) {
	for _, c := range conns {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
}
