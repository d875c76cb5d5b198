package demo

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// ports are those of every host. All hosts have the same ones on different addresses.
type ports struct {
	client, peer, postgres, gossip, rest, primary, replica uint16
}

// usual are the ports that a host has unless something on this machine occupies one of them on all addresses.
var usual = ports{client: 2379, peer: 2380, postgres: 5432, gossip: 7946, rest: 8008, primary: 5000, replica: 5001}

func (p ports) all() []*uint16 {
	return []*uint16{&p.client, &p.peer, &p.postgres, &p.gossip, &p.rest, &p.primary, &p.replica}
}

// shift moves all ports by so many.
func (p ports) shift(by uint16) ports {
	return ports{p.client + by, p.peer + by, p.postgres + by, p.gossip + by, p.rest + by, p.primary + by, p.replica + by}
}

// relayed are the ports by which hosts talk to each other.
func (p ports) relayed() []uint16 { return []uint16{p.client, p.peer, p.postgres, p.gossip, p.rest} }

// network is where the hosts of one demo live: host i listens on its own address, and the others know it by another one.
type network struct {
	ports
	prefix [2]byte // 127.a.b.0/24
}

// hosts is how many there are, and viaOffset what is added to a host's number to make the address of its relay.
const (
	hosts     = 3
	viaOffset = 100
)

func (n network) addr(host int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, n.prefix[0], n.prefix[1], byte(host)})
}
func (n network) via(host int) netip.Addr { return n.addr(host + viaOffset) }

var errNoAddress = errors.New("no loopback address of 127.83.0.0/16 has its ports free: something listens on them on all addresses; `ss -ltnp` shows what")

// findNetwork looks for addresses on which nobody listens. Several demos can run side by side.
func findNetwork() (network, error) {
	for shift := uint16(0); shift < 5000; shift += 1000 {
		for block := byte(1); block < 20; block++ {
			n := network{usual.shift(shift), [2]byte{83, block}}
			if n.free() {
				return n, nil
			}
		}
	}
	return network{}, errNoAddress
}

func (n network) free() bool {
	for host := 1; host <= hosts; host++ {
		for _, a := range []netip.Addr{n.addr(host), n.via(host)} {
			for _, p := range n.ports.all() {
				if !canListen(a, *p) {
					return false
				}
			}
		}
	}
	return true
}

func canListen(a netip.Addr, port uint16) bool {
	at := net.JoinHostPort(a.String(), strconv.Itoa(int(port)))
	l, err := net.Listen("tcp4", at)
	if err != nil {
		return false
	}
	_ = l.Close()
	u, err := net.ListenPacket("udp4", at)
	if err != nil {
		return false
	}
	_ = u.Close()
	return true
}

// at is an address with a port.
func at(a netip.Addr, port uint16) string { return fmt.Sprintf("%s:%d", a, port) }
