package config

import (
	"net/netip"
	"time"

	"quorate/internal/config/dynamic"
)

// Config is what one host is told, checked and complete: what was not written has its default or was derived.
type Config struct {
	Name      string // this member's name; unique in the cluster
	Scope     string // the cluster's name
	Namespace string // first part of the cluster's keys, with a slash in front and none behind
	Roles     Roles

	// Address is this host's address as the others see it.
	Address string

	Store     Store
	Gossip    Gossip
	Proxy     Proxy
	Etcd      *Etcd // the foreign store; nil: Quorate's own
	REST      REST
	CTL       CTL
	Log       Log
	Watchdog  Watchdog
	Tags      Tags
	Bootstrap Bootstrap
	// PostgreSQL holds what only a member's own file says; what may be shared is in the result of [Config.Effective].
	PostgreSQL PostgreSQL

	tree *tree
}

// Store configures the member of Quorate's store on this host.
type Store struct {
	DataDir         string
	Listen          string // an address without port; clients and peers
	ClientPort      int
	PeerPort        int
	Expect          int           // found the cluster when this many store hosts have met; 0: join one that exists
	ElectionTimeout time.Duration // of Raft; heartbeats have the same
	Quota           int64         // bytes of keys and values before writes are refused
	PeerTLS         TLS           // in place of what gossip.secret gives
	ClientTLS       TLS
	Origins         []string // whose web pages may read answers on the clients' port; "*": all
}

// TLS are the files of one side of an encrypted connection; empty: not encrypted.
type TLS struct {
	CertFile, KeyFile, KeyFilePassword, CAFile string
	// VerifyClient is none, optional or required.
	VerifyClient string
}

// Enabled says whether there is a certificate.
func (t TLS) Enabled() bool { return t.CertFile != "" }

// Gossip configures how hosts find each other.
type Gossip struct {
	Enabled   bool
	Listen    string   // host:port
	Advertise string   // host:port
	Join      []string // host:port each
	Secret    string   // encrypts gossip and the traffic between store peers
	Insecure  bool     // go without a secret although the network is not this host alone
}

// Proxy configures the router. Times and counts that are 0 take the router's defaults; times that are [Nobody] were written as 0.
type Proxy struct {
	Listeners                      []Listener
	Zone                           string
	MaxSessions                    int
	StartTimeout                   time.Duration
	ConnectTimeout                 time.Duration
	LingerTimeout                  time.Duration
	StaleReads                     time.Duration // replicas go on being served for so long by an expired table
	Drain                          time.Duration // idle sessions to the primary end for so long before a planned change; 0: not
	DrainTimeout                   time.Duration // sessions may go on for so long after SIGTERM
	UpgradeTimeout                 time.Duration // and after an upgrade; 0: without a limit
	KeepAliveIdle                  time.Duration
	KeepAliveInterval, UserTimeout time.Duration
	KeepAliveCount                 int
	AccessLog                      bool
	StatsListen                    string // HAProxy's statistics, besides on the API's port; empty: not
}

// Listener is one port of the router.
type Listener struct {
	Name, Listen, Target, Tag, Balance string
	MaximumLag                         int64         // bytes; 0: no limit
	MaximumLagTime                     time.Duration // 0: no limit
	FallbackToPrimary                  bool
	HoldTimeout                        time.Duration // 0: the router's default; negative: nobody waits
	HoldClients                        int           // 0: the router's default
	HoldBytes                          int64         // 0: the router's default
	MaxSessions                        int           // 0: no limit; so for the two below
	MaxPerBackend, MaxPerClient        int
	ProxyFrom                          []netip.Prefix // balancers that begin with a PROXY header
	SendProxy                          bool           // version 2, to the servers
	TLS                                *ListenerTLS   // nil: TLS passes through
}

// ListenerTLS is a certificate for a listener that ends TLS.
type ListenerTLS struct {
	CertFile, KeyFile string
	Require           bool // clients without TLS are turned away
}

// Etcd names a store that is not ours, as Patroni's sections etcd3 and etcd do.
type Etcd struct {
	API                  int      // 2 or 3
	Endpoints            []string // URLs
	Proxy                string   // the URL of an etcd proxy; no others are looked up
	SRV, SRVSuffix       string   // DNS discovery
	UseProxies           bool     // the endpoints stay as they are written
	Username, Password   string
	CACert, Cert, Key    string
	KeyPassword          string
	InsecureNoVerifyCert bool
}

// Section is the name of the section that it stands in.
func (e *Etcd) Section() string {
	if e.API == 2 {
		return "etcd"
	}
	return "etcd3"
}

// BasicAuth is a name and its password; empty: none.
type BasicAuth struct{ Username, Password string }

// REST configures the HTTP API.
type REST struct {
	Listen                  string // host:port; the host may be * or a name
	ConnectAddress          string // host:port as the others reach it
	Authentication          BasicAuth
	TLS                     TLS
	Ciphers                 string // OpenSSL's notation
	Allowlist               []string
	AllowlistIncludeMembers bool
	HTTPExtraHeaders        map[string]string
	HTTPSExtraHeaders       map[string]string
	ServerTokens            string // original, productonly, minimal
}

// CTL configures this program as a client of the HTTP API.
type CTL struct {
	Authentication  BasicAuth
	Insecure        bool
	CACert          string
	CertFile        string
	KeyFile         string
	KeyFilePassword string
}

// Log configures the agent's log.
type Log struct {
	Type                 string // plain or json
	Level                string // DEBUG, INFO, WARNING, ERROR, CRITICAL
	TracebackLevel       string
	Format               string   // of a plain line
	JSONFormat           []string // fields of a JSON line; with renames as name=shown
	DateFormat           string   // strftime's notation; empty: ISO 8601
	StaticFields         map[string]string
	MaxQueueSize         int
	Dir                  string // empty: standard error
	Mode                 uint32 // permissions of the files; 0: the umask's
	FileNum              int
	FileSize             int64
	Loggers              map[string]string // level by component
	DeduplicateHeartbeat bool
}

// Watchdog configures the device that resets a host whose agent and fence are both stuck.
type Watchdog struct {
	Mode         string // off, automatic, required
	Device       string
	SafetyMargin time.Duration // negative: half of ttl
	Driver       string
}

// Bootstrap says how a cluster is founded.
type Bootstrap struct {
	Written                  bool           // a host without the section never runs initdb
	DCS                      map[string]any // the first shared configuration
	Method                   string         // initdb, or a name of its own with a command
	Command                  string
	KeepExistingRecoveryConf bool
	NoParams                 bool
	RecoveryConf             map[string]string
	MethodOptions            []dynamic.Option // further arguments of Command
	InitDB                   []dynamic.Option
	PgHBA                    []string // appended; deprecated
	PostInit                 string   // a command; its argument is a connection string
}

// PostgreSQL is the part of the section postgresql that belongs to one member alone.
type PostgreSQL struct {
	Listen         []string // hosts
	Port           int
	ConnectAddress string // host:port
	ProxyAddress   string // host:port; empty: none
	DataDir        string
	ConfigDir      string // empty: DataDir
	PgPass         string // empty: chosen by the agent
	Superuser      Credentials
	Replication    Credentials
	Rewind         Credentials // empty: Superuser is used
}

// Credentials are a role of PostgreSQL and how its connections are made.
type Credentials struct {
	Username, Password                             string
	SSLMode, SSLKey, SSLCert, SSLPassword          string
	SSLRootCert, SSLCRL, SSLCRLDir, SSLNegotiation string
	GSSEncMode, ChannelBinding                     string
}

// At is where a setting was written, by its dotted name; for errors that show only while the host runs.
func (c *Config) At(key string) Place {
	if c.tree == nil {
		return Place{}
	}
	return c.tree.find(key)
}

// Has says whether a setting was written at all.
func (c *Config) Has(keys ...string) bool {
	t := c.tree
	for _, k := range keys {
		if t = t.get(k); t == nil {
			return false
		}
	}
	return true
}

// Effective lays this member's settings over the shared configuration of the cluster.
func (c *Config) Effective(shared map[string]any, p dynamic.Profile) (dynamic.Config, []dynamic.Correction) {
	merged, misplaced := dynamic.Merge(shared, c.tree.get("postgresql").plainMap())
	out, wrong := dynamic.Parse(merged, p)
	return out, append(misplaced, wrong...)
}

// Profile holds the defaults and minimums for the times of this member's store.
func (c *Config) Profile() dynamic.Profile {
	if c.Etcd != nil {
		return dynamic.EtcdProfile()
	}
	return dynamic.OwnProfile(c.Store.ElectionTimeout)
}
