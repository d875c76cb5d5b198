package etcdhost

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"quorate/api/etcd3"
	"quorate/raftstore"
)

// Config is what etcd's options amount to.
type Config struct {
	Name, DataDir string
	// WALDir is where an etcd's log lies when it is not in DataDir; it is looked at when DataDir is one that was restored for an etcd.
	WALDir        string
	ListenClient  []*url.URL
	ListenMetrics []*url.URL
	ListenPeer    []*url.URL
	Advertise     string   // host:port of the peer port, as the others dial it; a path when peers meet at unix sockets
	ClientURLs    []string // advertised
	Peers         []raftstore.Peer
	// Expect is how many members found the cluster; 0 with --initial-cluster-state existing.
	Expect          int
	ForceNewCluster bool
	// V2 serves the v2 API too.
	V2 bool
	// Pprof serves runtime profiles below /debug/pprof/ of the client URLs.
	Pprof bool

	// Access is who may use the HTTP side.
	Access etcd3.Access

	ElectionTimeout    time.Duration
	SnapshotEntries    uint64
	Quota              int64
	MaxTxnOps          int
	MaxRequestBytes    int
	ProgressInterval   time.Duration
	RetainPeriod       time.Duration
	RetainRevisions    int64
	PeriodOnly         bool
	MaxStreams         uint32
	ExtensiveMetrics   bool          // how long each call took, too
	ReadyTimeout       time.Duration // how long clients wait for the first leader before they are told that there is none
	Auth               raftstore.AuthOptions
	Log                Log
	ClientTLS, PeerTLS TLS
	peerSecure         bool
	peerUnix           bool

	// Warnings are to be said once.
	Warnings []string
	// Version asks for nothing but the version.
	Version bool
}

// Parse reads etcd's command line. ErrHelp asks for Help.
func Parse(args []string, env map[string]string) (*Config, error) {
	v, err := collect(args, env)
	if errors.Is(err, errHelp) {
		return nil, ErrHelp
	}
	if err != nil {
		return nil, err
	}
	c, err := v.config()
	if err != nil {
		return nil, err
	}
	c.Warnings = v.warnings
	return c, nil
}

func (v *values) config() (*Config, error) {
	c := &Config{
		Name: v.get("name"), DataDir: v.get("data-dir"), WALDir: v.get("wal-dir"),
	}
	if c.DataDir == "" {
		c.DataDir = c.Name + ".etcd"
	}
	for _, step := range []func(*Config) error{v.switches, v.access, v.logs, v.users, v.timers, v.limits, v.compaction, v.secure, v.listen, v.cluster} {
		if err := step(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (v *values) boolean(name string, to *bool) error {
	s := v.get(name)
	if s == "" {
		s = "false"
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		return fmt.Errorf("--%s is %q, expected true or false", name, s)
	}
	*to = b
	return nil
}

func (v *values) number(name string, to *int64) error {
	n, err := strconv.ParseInt(v.get(name), 10, 64)
	if err != nil {
		return fmt.Errorf("--%s is %q, expected a number", name, v.get(name))
	}
	*to = n
	return nil
}

func (v *values) switches(c *Config) error {
	switch kind := v.get("metrics"); kind {
	case "basic":
	case "extensive":
		c.ExtensiveMetrics = true
	default:
		return fmt.Errorf("--metrics is %q, expected basic or extensive", kind)
	}
	return errors.Join(v.boolean("version", &c.Version), v.boolean("enable-v2", &c.V2),
		v.boolean("enable-pprof", &c.Pprof), v.boolean("force-new-cluster", &c.ForceNewCluster))
}

// access reads whose web pages, and which of this host's names, are served over HTTP.
func (v *values) access(c *Config) error {
	for name := range strings.SplitSeq(v.get("host-whitelist"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			c.Access.Hosts = append(c.Access.Hosts, name)
		}
	}
	if v.get("cors") == "*" {
		return nil
	}
	list, err := v.urls("cors")
	for _, u := range list {
		c.Access.Origins = append(c.Access.Origins, u.String())
	}
	return err
}

// users reads how users are known. Certificates are users where they are asked for.
func (v *values) users(c *Config) error {
	var ttl, cost int64
	var certs bool
	err := errors.Join(v.number("auth-token-ttl", &ttl), v.number("bcrypt-cost", &cost), v.boolean("client-cert-auth", &certs))
	if err != nil {
		return err
	}
	if ttl <= 0 {
		return errors.New("--auth-token-ttl must be positive")
	}
	c.Auth = raftstore.AuthOptions{Token: v.get("auth-token"), TokenTTL: time.Duration(ttl) * time.Second, BcryptCost: int(cost)}
	if certs {
		c.Auth.CertUser = etcd3.CertUser
	}
	return nil
}

// timers maps etcd's to ours: --election-timeout is Raft's, of which heartbeats are a tenth.
func (v *values) timers(c *Config) error {
	var beat, election int64
	if err := errors.Join(v.number("heartbeat-interval", &beat), v.number("election-timeout", &election)); err != nil {
		return err
	}
	switch {
	case beat <= 0 || election <= 0:
		return errors.New("--heartbeat-interval and --election-timeout must be positive")
	case 5*beat > election:
		return fmt.Errorf("--election-timeout[%dms] should be at least as 5 times as --heartbeat-interval[%dms]", election, beat)
	case election > 50000:
		return fmt.Errorf("--election-timeout[%dms] is too long, and should be set less than 50000ms", election)
	}
	if v.has("election-timeout") {
		c.ElectionTimeout = max(time.Duration(election)*time.Millisecond, 20*time.Millisecond)
	}
	if v.has("heartbeat-interval") && beat != election/10 {
		v.warn("--heartbeat-interval is not used: heartbeats follow --election-timeout (a tenth of it, here %s)",
			firstPositive(c.ElectionTimeout, raftstore.DefaultElectionTimeout)/10)
	}
	return nil
}

func firstPositive(list ...time.Duration) time.Duration {
	for _, d := range list {
		if d > 0 {
			return d
		}
	}
	return 0
}

func (v *values) limits(c *Config) error {
	var ops, bytes, entries int64
	err := errors.Join(v.number("quota-backend-bytes", &c.Quota), v.number("max-txn-ops", &ops), v.number("max-request-bytes", &bytes),
		v.number("snapshot-count", &entries))
	if err != nil {
		return err
	}
	if ops <= 0 || bytes <= 0 || entries <= 0 {
		return errors.New("--max-txn-ops, --max-request-bytes and --snapshot-count must be positive")
	}
	if bytes > raftstore.MaxRequestBytes {
		v.warn("--max-request-bytes is more than the store takes and is lowered to %d", raftstore.MaxRequestBytes)
		bytes = raftstore.MaxRequestBytes
	}
	c.MaxTxnOps, c.MaxRequestBytes = int(ops), int(bytes)
	if v.has("snapshot-count") {
		c.SnapshotEntries = uint64(entries)
	}
	var streams int64
	if err := v.number("max-concurrent-streams", &streams); err != nil || streams < 0 || streams > math.MaxUint32 {
		return errors.Join(errors.New("--max-concurrent-streams must be a number of at most 32 bits"), err)
	}
	c.MaxStreams = uint32(streams)
	return errors.Join(v.duration("experimental-watch-progress-notify-interval", &c.ProgressInterval),
		v.duration("experimental-wait-cluster-ready-timeout", &c.ReadyTimeout))
}

func (v *values) duration(name string, to *time.Duration) (err error) {
	if s := v.get(name); s != "" {
		if *to, err = time.ParseDuration(s); err != nil {
			return fmt.Errorf("--%s: %w", name, err)
		}
	}
	return nil
}

// compaction is on by default, unlike etcd's: stores that nobody compacts run full.
func (v *values) compaction(c *Config) error {
	mode, s := v.get("auto-compaction-mode"), v.get("auto-compaction-retention")
	if mode != "periodic" && mode != "revision" {
		return fmt.Errorf("--auto-compaction-mode is %q, expected periodic or revision", mode)
	}
	if s == "" {
		return nil
	}
	n, numErr := strconv.ParseInt(s, 10, 64)
	if mode == "revision" {
		if numErr != nil || n < 0 {
			return fmt.Errorf("--auto-compaction-retention is %q, expected a number of revisions", s)
		}
		c.RetainPeriod, c.RetainRevisions = time.Nanosecond, n
	} else {
		d, err := time.ParseDuration(s)
		if numErr == nil {
			d, err = time.Duration(n)*time.Hour, nil
		}
		if err != nil || d < 0 {
			return fmt.Errorf("--auto-compaction-retention is %q, expected a duration or a number of hours", s)
		}
		c.RetainPeriod, c.PeriodOnly = d, true
	}
	if s == "0" || c.RetainPeriod == 0 {
		c.RetainPeriod, c.PeriodOnly = -1, false
	}
	return nil
}

// urls reads a list of URLs with host and port.
func (v *values) urls(name string) (list []*url.URL, err error) {
	for s := range strings.SplitSeq(v.get(name), ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		u, err := hostURL(s)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
		list = append(list, u)
	}
	return list, nil
}

func hostURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	switch u.Scheme {
	case "http", "https":
	case "unix", "unixs":
		if u.Host+u.Path == "" {
			return nil, fmt.Errorf("URL names no socket: %s", s)
		}
		return u, nil
	default:
		return nil, fmt.Errorf("URL scheme must be http, https, unix, or unixs: %s", s)
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return nil, fmt.Errorf("URL address does not have the form \"host:port\": %s", s)
	}
	if u.Path != "" && u.Path != "/" {
		return nil, fmt.Errorf("URL must not contain a path: %s", s)
	}
	return u, nil
}
