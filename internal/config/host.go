package config

import (
	"net"
	"net/netip"
	"os"
	"slices"
)

// Host are the facts about this machine that a configuration is completed and checked by.
type Host struct {
	Name      string       // the host's name
	Addresses []netip.Addr // of all interfaces; empty: written addresses are not checked
	UID       int
	Home      string // of the user
	WorkDir   string // where relative paths begin; empty: they are refused
	// SourceTo is the address that packets to a host would carry as their source. Nil, or an invalid result: unknown.
	SourceTo func(host string) netip.Addr
	// Lookup resolves a name. Nil: names are not checked.
	Lookup func(name string) []netip.Addr
}

// LocalHost asks the machine for its facts. What it cannot learn stays empty.
func LocalHost() Host {
	h := Host{UID: os.Getuid(), SourceTo: sourceTo, Lookup: lookup}
	h.Name, _ = os.Hostname()
	h.Home, _ = os.UserHomeDir()
	h.WorkDir, _ = os.Getwd()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return h
	}
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			h.Addresses = append(h.Addresses, prefix.Addr())
		}
	}
	return h
}

// sourceTo asks the kernel's routing table; connecting a datagram socket sends nothing.
func sourceTo(host string) netip.Addr {
	conn, err := net.Dial("udp", net.JoinHostPort(host, "9"))
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	if local, ok := conn.LocalAddr().(*net.UDPAddr); ok {
		return local.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

func lookup(name string) []netip.Addr {
	ips, err := net.LookupIP(name)
	if err != nil {
		return nil
	}
	var out []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			out = append(out, a.Unmap())
		}
	}
	return out
}

// owns says whether an address is this machine's: one of its interfaces', or any loopback address.
func (h Host) owns(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	return len(h.Addresses) == 0 || a.IsLoopback() || slices.ContainsFunc(h.Addresses, func(own netip.Addr) bool {
		return own.Unmap().WithZone("") == a
	})
}

// source is SourceTo with its absence handled.
func (h Host) source(host string) string {
	if h.SourceTo == nil {
		return ""
	}
	a := h.SourceTo(host)
	if !a.IsValid() || a.IsUnspecified() {
		return ""
	}
	return a.String()
}

// global is the first address that other machines can reach.
func (h Host) global() string {
	for _, a := range h.Addresses {
		if a.IsGlobalUnicast() {
			return a.String()
		}
	}
	return ""
}
