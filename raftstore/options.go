package raftstore

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"
)

// Defaults of Options.
const (
	DefaultElectionTimeout = 500 * time.Millisecond
	DefaultRequestTimeout  = 5 * time.Second
	DefaultQuota           = 2 << 30
	DefaultTrailingBytes   = 16 << 20
	DefaultRetainRevisions = 10000
	DefaultRetainPeriod    = time.Hour
	// MaxRequestBytes bounds one request, as etcd does. The front end refuses earlier, with etcd's words.
	MaxRequestBytes = 1536 << 10
)

// Peer is a store host as discovery knows it. It is a hint: the store asks the host itself before it acts.
type Peer struct {
	ID         uint64
	Name       string
	PeerAddr   string
	ClientURLs []string
	HasData    bool // the host says that it belongs to a cluster, or it could not be told that it does not
}

// PeerTLS is the pair of configurations for the peer port. Both sides must demand and verify certificates: Raft's own
// messages carry no proof of who sent them.
type PeerTLS struct {
	Server *tls.Config
	Client *tls.Config
}

// Options is what a Store needs to know. Dir, Name and Listen are required.
type Options struct {
	// Dir is the store folder. It belongs to one host: see ErrForeignFolder.
	Dir string
	// AdoptFolder accepts a folder that was made on another host or under another address, for an operator who moved it
	// and is sure that the original will never start again.
	AdoptFolder bool
	// Name is the member's name.
	Name string
	// Listen is the address of the peer port, Advertise what the others dial (default: the bound address).
	Listen    string
	Advertise string
	// Listener is used instead of Listen when set: a socket that was inherited.
	Listener net.Listener
	// ClientURLs are published with the member.
	ClientURLs []string
	// MachineID tells hosts apart; default: /etc/machine-id.
	MachineID string

	// Expect is how many store hosts found the cluster together. 0 means never found, only join.
	Expect int
	// Peers lists the store hosts that discovery sees, this host included or not. It is called often and must not block.
	Peers func() []Peer

	// TLS protects the peer port; nil means plain TCP, which only loopback deserves.
	TLS *PeerTLS
	// Dial replaces the dialer of the peer port.
	Dial func(ctx context.Context, addr string) (net.Conn, error)

	// ElectionTimeout is Raft's heartbeat and election timeout; the leader's lease is half of it.
	ElectionTimeout time.Duration
	// RequestTimeout bounds a request without a deadline of its own; twice ElectionTimeout comes on top, as in etcd.
	RequestTimeout time.Duration
	// Auth is how users are known where they are checked.
	Auth AuthOptions
	// QuotaBytes bounds the live data; negative means no bound.
	QuotaBytes int64
	// TrailingBytes is how much of the log stays behind a snapshot for followers that lag.
	TrailingBytes int64
	// RetainRevisions and RetainPeriod bound the history that auto-compaction keeps: a revision is compacted once it is
	// both older than the period and not among the newest RetainRevisions, and in any case beyond ten times
	// RetainRevisions. A negative RetainPeriod switches auto-compaction off.
	RetainRevisions int64
	RetainPeriod    time.Duration
	// RetainPeriodOnly has the period alone decide, as etcd's periodic mode does.
	RetainPeriodOnly bool
	// SnapshotEntries is after how many log entries a snapshot is taken (8192).
	SnapshotEntries uint64

	Logger     *slog.Logger
	Registerer prometheus.Registerer

	// hooks are the faults that this package's tests inject.
	hooks hooks
}

// AuthOptions are the part of Options that concerns users. The zero value is etcd's defaults.
type AuthOptions struct {
	// Token is etcd's --auth-token: "simple" (the default), or "jwt,sign-method=...,priv-key=FILE[,pub-key=FILE][,ttl=10m]". Give all members
	// keys of one pair.
	Token string
	// TokenTTL is how long a simple token lives without being used (5 minutes).
	TokenTTL time.Duration
	// BcryptCost is that of hashing passwords (10).
	BcryptCost int
	// CertUser tells whose certificate a request in ctx came under, empty for nobody's. It counts for requests without a token, as under
	// etcd's --client-cert-auth. Nil: certificates are no users.
	CertUser func(ctx context.Context) string
}

// hooks let a test stand between the store and its disk. The zero value does nothing.
type hooks struct {
	// beforeWrite runs before each write to the log file and may block or fail.
	beforeWrite func() error
	// snapshotBytes replaces the size of the log at which a snapshot is taken.
	snapshotBytes int64
	// compareEvery replaces how often members are compared.
	compareEvery time.Duration
	// commitTimeout replaces the pace at which Raft itself tells followers of commits.
	commitTimeout time.Duration
	// refusedLimit replaces how long the disk may refuse writes.
	refusedLimit time.Duration
	// noForward makes the member answer forwarded proposals as versions before methodForward do.
	noForward bool
	// statfs replaces the look at the file system's room.
	statfs func(string, *unix.Statfs_t) error
}

func (o Options) withDefaults() (Options, error) {
	if o.Dir == "" || o.Name == "" {
		return o, errors.New("raftstore: Options.Dir and Options.Name must be set")
	}
	if o.Listen == "" && o.Listener == nil {
		return o, errors.New("raftstore: Options.Listen must be set")
	}
	if o.Expect < 0 {
		return o, fmt.Errorf("raftstore: Options.Expect is %d, want 0 or more", o.Expect)
	}
	orDuration(&o.ElectionTimeout, DefaultElectionTimeout)
	orDuration(&o.RequestTimeout, DefaultRequestTimeout)
	orDuration(&o.RetainPeriod, DefaultRetainPeriod)
	orInt(&o.QuotaBytes, DefaultQuota)
	orInt(&o.TrailingBytes, DefaultTrailingBytes)
	orInt(&o.RetainRevisions, DefaultRetainRevisions)
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = snapshotEntries
	}
	if o.ElectionTimeout < 20*time.Millisecond {
		return o, fmt.Errorf("raftstore: Options.ElectionTimeout is %s, want 20ms or more", o.ElectionTimeout)
	}
	var err error
	if o.Auth, err = o.Auth.withDefaults(); err != nil {
		return o, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Peers == nil {
		o.Peers = func() []Peer { return nil }
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	return o, nil
}

func orDuration(d *time.Duration, def time.Duration) {
	if *d == 0 {
		*d = def
	}
}

func orInt(n *int64, def int64) {
	if *n == 0 {
		*n = def
	}
}
