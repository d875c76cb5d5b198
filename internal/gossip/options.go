package gossip

import (
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/hashicorp/memberlist"
	"github.com/prometheus/client_golang/prometheus"
)

// DefaultPort is where hosts gossip, TCP and UDP, unless told otherwise.
const DefaultPort = 7946

// ErrNoSecret is returned when gossip would leave the machine unencrypted and that was not asked for.
var ErrNoSecret = errors.New("gossip.secret is empty: set the same secret on every host (openssl rand -hex 16 makes one), or gossip.insecure: true on a network where everybody may join the cluster")

// keyContext separates gossip's key from whatever else is derived from the same secret.
const keyContext = "quorate gossip aes-256-gcm v1"

// Options configure a Gossip.
type Options struct {
	Name      string   // the host's, unique in the cluster
	Listen    string   // address:port of this host, TCP and UDP; port 0 takes a free one
	Advertise string   // address:port that others reach this host by; default: Listen
	Join      []string // hosts to find the others by, host or host:port; this host may be among them
	Secret    string   // encrypts gossip (AES-256-GCM under a key by HKDF-SHA256)
	Insecure  bool     // allow an empty Secret off loopback
	Meta      Meta     // what this host tells of itself at first

	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: metrics are kept and not exported
}

// config translates o for memberlist.
//
// The timings are for a handful of hosts on one network. A probe a second suspects a silent host within a few, and
// nothing hurries for that; it costs two small packets a second and host. Gossip every 200 ms only matters for changes of Meta, since
// joining exchanges state at once. Compression is off: a packet holds less than it saves.
func (o Options) config() (*memberlist.Config, error) {
	listen, err := parseAddr(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("gossip.listen: %w", err)
	}
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label = o.Name, "quorate"
	c.BindAddr, c.BindPort = listen.Addr().String(), int(listen.Port())
	c.AdvertisePort = c.BindPort
	advertised := listen
	if o.Advertise != "" {
		if advertised, err = parseAddr(o.Advertise); err != nil {
			return nil, fmt.Errorf("gossip.advertise: %w", err)
		}
		c.AdvertiseAddr, c.AdvertisePort = advertised.Addr().String(), int(advertised.Port())
	}
	if c.SecretKey, err = o.key(listen.Addr().IsLoopback() && advertised.Addr().IsLoopback()); err != nil {
		return nil, err
	}
	c.ProbeInterval, c.ProbeTimeout, c.IndirectChecks = time.Second, 200*time.Millisecond, 2
	c.SuspicionMult, c.SuspicionMaxTimeoutMult, c.AwarenessMaxMultiplier = 3, 2, 4
	c.GossipInterval, c.GossipNodes, c.PushPullInterval = time.Second, 2, 30*time.Second
	c.TCPTimeout = 2 * time.Second
	c.DeadNodeReclaimTime = 3 * time.Second // a host that comes back with another address is not a second host of its name
	c.EnableCompression = false
	c.Logger = log.New(&logWriter{log: o.Logger}, "", 0)
	return c, nil
}

// key derives the encryption key, or says why there must be one.
func (o Options) key(loopback bool) ([]byte, error) {
	if o.Secret != "" {
		return hkdf.Key(sha256.New, []byte(o.Secret), nil, keyContext, 32)
	}
	if !loopback && !o.Insecure {
		return nil, ErrNoSecret
	}
	return nil, nil
}

// parseAddr reads an address with a port, DefaultPort if it has none. Names are not addresses: what a host listens on must
// not depend on a name server.
func parseAddr(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, DefaultPort), nil
	}
	return netip.AddrPort{}, fmt.Errorf("found %q, expected an IP address, with or without :port", s)
}

// withPort gives a join address the default port unless it has one.
func withPort(s string) string {
	if _, _, err := net.SplitHostPort(s); err == nil {
		return s
	}
	return net.JoinHostPort(s, strconv.Itoa(DefaultPort))
}
