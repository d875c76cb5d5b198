package proxy

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"quorate/internal/boottime"
)

// Role is what a backend is at the moment, in Patroni's words.
type Role string

// The roles that a router tells apart.
const (
	RolePrimary       Role = "primary"
	RoleReplica       Role = "replica"
	RoleStandbyLeader Role = "standby_leader"
)

// Term names one reign of one primary: the store's cluster id and the create revision of the leader key. Two terms are
// only ever compared for equality: a restored store may start its revisions again. The zero Term is "no primary".
type Term struct {
	Cluster uint64
	Rev     int64
}

// IsZero says whether t names no reign at all.
func (t Term) IsZero() bool { return t == Term{} }

// String is the term for people: cluster id in hex, as etcd prints it, and the revision.
func (t Term) String() string {
	if t.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%x@%d", t.Cluster, t.Rev)
}

// Tags are the member's tags that a router heeds.
type Tags struct {
	NoLoadBalance bool              // takes no session except as the primary
	Custom        map[string]string // every other tag, for listeners with the target "tag"
}

// Backend is one PostgreSQL as the node knows it.
type Backend struct {
	Name     string        // the member's name, unique in the cluster
	Addr     string        // host:port, or the absolute path of a UNIX socket
	Role     Role          // as of the table
	Sync     bool          // a synchronous standby
	Running  bool          // accepts sessions, as far as is known
	LagBytes int64         // replay distance from the primary in bytes; -1 when unknown
	LagTime  time.Duration // age of the last replayed commit while behind; -1 when unknown
	Zone     string        // for the balance "nearest"
	Tags     Tags
}

// Table is all that a router knows of the cluster, as of one moment.
type Table struct {
	Scope    string
	Term     Term // the primary's term; zero while there is none
	Backends []Backend
	Position int64 // the primary's position in its log in bytes, as lags are measured from; 0 when unknown

	// ValidUntil bounds what the table says about the primary: from then on it starts no session there, and those it
	// started are ended. It must not exceed the primary's own lease as the publisher knows it.
	ValidUntil boottime.Instant
}

// Primary is the backend that the table's term belongs to. A table without a term has no primary, whatever roles its
// backends claim: without a term there is nothing to end its sessions by.
func (t *Table) Primary() (Backend, bool) {
	if t == nil || t.Term.IsZero() {
		return Backend{}, false
	}
	i := slices.IndexFunc(t.Backends, func(b Backend) bool { return b.Role == RolePrimary })
	if i < 0 {
		return Backend{}, false
	}
	return t.Backends[i], true
}

// Expired says whether the table's word about the primary no longer holds at now.
func (t *Table) Expired(now boottime.Instant) bool { return t == nil || !now.Before(t.ValidUntil) }

// Validate refuses a table that a router could not follow: no two backends of one name, no two primaries, addresses present.
func (t *Table) Validate() error {
	seen, primary := make(map[string]bool, len(t.Backends)), ""
	for _, b := range t.Backends {
		switch {
		case b.Name == "":
			return fmt.Errorf("table of %q: a backend at %q has no name", t.Scope, b.Addr)
		case b.Addr == "":
			return fmt.Errorf("table of %q: backend %q has no address", t.Scope, b.Name)
		case seen[b.Name]:
			return fmt.Errorf("table of %q: two backends are named %q", t.Scope, b.Name)
		case b.Role == RolePrimary && primary != "":
			return fmt.Errorf("table of %q: %q and %q are both called primary", t.Scope, primary, b.Name)
		}
		if seen[b.Name] = true; b.Role == RolePrimary {
			primary = b.Name
		}
	}
	return nil
}

// clone is a deep copy, so that a publisher may go on using what it passed.
func (t Table) clone() *Table {
	t.Backends = slices.Clone(t.Backends)
	for i := range t.Backends {
		t.Backends[i].Tags.Custom = maps.Clone(t.Backends[i].Tags.Custom)
	}
	return &t
}
