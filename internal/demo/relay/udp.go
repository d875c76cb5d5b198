package relay

import (
	"fmt"
	"net"
	"net/netip"
)

// datagrams passes on the datagrams to one port of all hosts. A datagram leaves by the sender's second address, so that the receiver sees it come from
// where it believes the sender to be.
func (r *Relay) datagrams(port uint16) error {
	sockets := map[string]*net.UDPConn{}
	for _, h := range r.o.Hosts {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(h.Via, port)))
		if err != nil {
			return fmt.Errorf("relay for %s: %w", h.Name, err)
		}
		r.own(c)
		sockets[h.Name] = c
	}
	for _, h := range r.o.Hosts {
		r.running.Go(func() { r.forward(sockets, h, port) })
	}
	return nil
}

// forward passes on what is sent to one host.
func (r *Relay) forward(sockets map[string]*net.UDPConn, to Host, port uint16) {
	buf := make([]byte, 64<<10)
	for {
		n, src, err := sockets[to.Name].ReadFromUDPAddrPort(buf)
		if r.ctx.Err() != nil {
			return
		}
		from, known := r.sender(src.Addr().Unmap())
		if err != nil || !known {
			continue
		}
		if open, _ := r.links.open(from, to.Name); open {
			_, _ = sockets[from].WriteToUDPAddrPort(buf[:n], netip.AddrPortFrom(to.Addr, port))
		}
	}
}

func (r *Relay) sender(a netip.Addr) (name string, known bool) {
	for _, h := range r.o.Hosts {
		if h.Addr == a {
			return h.Name, true
		}
	}
	return "", false
}
