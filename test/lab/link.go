package lab

import (
	"fmt"
	"net/netip"
)

// The network of every lab. Labs do not meet: each has a switch in a namespace of its own.
var network = netip.MustParsePrefix("10.77.0.0/24")

const (
	hostDev = "eth0" // a host's interface, by the name that it would have on a cloud instance
	brDev   = "br0"  // the bridge in the switch's namespace
)

// port is one host's place on the switch.
type port struct {
	addr netip.Addr
	mac  string
	dev  string // the switch's end of the cable
}

func newPort(index int) port {
	addr := network.Addr()
	for range index {
		addr = addr.Next()
	}
	return port{addr: addr, mac: fmt.Sprintf("02:00:0a:4d:00:%02x", index), dev: fmt.Sprintf("port%d", index)}
}

// newSwitch makes the namespace with the bridge that all hosts hang on.
func newSwitch(name string) (*netns, error) {
	n, err := newNetns(name)
	if err != nil {
		return nil, err
	}
	if err := n.ip("link", "add", brDev, "type", "bridge", "stp_state", "0", "forward_delay", "0", "mcast_snooping", "0"); err != nil {
		return nil, err
	}
	return n, n.ip("link", "set", brDev, "up")
}

// plug lays the cable between a host's namespace and the switch and gives the host its address.
func (p port) plug(sw, host *netns) error {
	mac, cidr := p.mac, netip.PrefixFrom(p.addr, network.Bits()).String()
	return firstError(
		func() error {
			return sw.ip("link", "add", p.dev, "type", "veth", "peer", "name", hostDev, "address", mac, "netns", host.name)
		},
		func() error { return sw.ip("link", "set", p.dev, "master", brDev, "up") },
		func() error { return host.ip("address", "add", cidr, "dev", hostDev) },
		func() error { return host.ip("link", "set", hostDev, "up") },
	)
}

// know writes the other's hardware address into the host's neighbour table for good, so that a lost neighbour is silent rather than unreachable.
func (p port) know(host *netns) error {
	return host.ip("neighbour", "replace", p.addr.String(), "lladdr", p.mac, "dev", hostDev, "nud", "permanent")
}

// Cut takes the host's cable out of the switch: its frames and those for it vanish, and nobody is told. Cutting twice is no error.
func (h *Host) Cut() error { return h.lab.sw.ip("link", "set", h.port.dev, "nomaster") }

// Heal undoes Cut, CutFrom in both directions, LinkDown and Lossy.
func (h *Host) Heal() error {
	return firstError(
		func() error { return h.lab.sw.ip("link", "set", h.port.dev, "master", brDev, "up") },
		h.lab.unblockAll(h),
		h.lossless,
	)
}

// Lossy drops so many of a hundred packets that the host receives, drawn by chance, until Heal.
func (h *Host) Lossy(percent int) error {
	return firstError(h.lossless, func() error { return h.lossy("-A", percent) })
}

// lossless undoes Lossy.
func (h *Host) lossless() error {
	h.mu.Lock()
	percent := h.loss
	h.mu.Unlock()
	if percent == 0 {
		return nil
	}
	return h.lossy("-D", percent)
}

func (h *Host) lossy(op string, percent int) error {
	rule := []string{"-w", "-t", "raw", op, "PREROUTING", "-i", hostDev, "-m", "statistic", "--mode", "random",
		"--probability", fmt.Sprintf("%.2f", float64(percent)/100), "-j", "DROP"}
	n := h.ns()
	if n == nil {
		return ErrPowerOff
	}
	if err := n.do(func() error { return command("iptables", rule...) }); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loss = percent; op == "-D" {
		h.loss = 0
	}
	return nil
}

// LinkDown takes the carrier away, as a pulled cable does: the kernel of the host knows.
func (h *Host) LinkDown() error { return h.lab.sw.ip("link", "set", h.port.dev, "down") }

// CutFrom drops what the host receives from other: one direction only.
func (h *Host) CutFrom(other *Host) error { return h.block("-A", other) }

// CutBetween drops what a and b send to each other, in both directions; each still reaches everyone else.
func (l *Lab) CutBetween(a, b *Host) error {
	return firstError(func() error { return a.CutFrom(b) }, func() error { return b.CutFrom(a) })
}

// block adds or deletes the rule. It sits on the receiver: a rule on the sender would give the sender an error that no network gives.
func (h *Host) block(op string, other *Host) error {
	rule := []string{"-w", "-t", "raw", op, "PREROUTING", "-i", hostDev, "-s", other.IP(), "-j", "DROP"}
	return h.ns().do(func() error {
		if err := command("iptables", rule...); err != nil {
			return err
		}
		h.noteBlock(op, other)
		return nil
	})
}

// unblockAll lifts the blocks that the host set and those that others set against it.
func (l *Lab) unblockAll(h *Host) func() error {
	return func() error {
		for _, a := range l.Hosts() {
			for _, b := range a.blockedBy() {
				if a != h && b != h {
					continue
				}
				if err := a.block("-D", b); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// firstError runs steps in order until one fails.
func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
