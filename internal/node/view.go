package node

import (
	"cmp"
	"net/url"
	"strconv"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/proxy"
	"quorate/raftstore/dcs"
)

// view is what a decision showed, for those who render it. Nobody changes one.
type view struct {
	cluster *dcs.Cluster
	seenAt  boottime.Instant
	snap    ha.Snapshot
	reason  ha.Reason
	hold    bool
	op      string
	opSince time.Time
	failed  *rest.FailedOperation
	own     bool // this host has a PostgreSQL: snap is about it
	scope   string
	ttl     time.Duration
	served  *servedBy // nil: not known
}

// routingTable makes the router's table from a view. The primary is the holder of the leader key, and its term stands for as long as
// the key does; it gets sessions while it says that it is open. Of this host's own PostgreSQL more is known, and sooner.
func routingTable(v *view) proxy.Table {
	t := proxy.Table{Scope: v.scope}
	c := v.cluster
	if c == nil {
		return t
	}
	t.ValidUntil = v.seenAt.Add(v.ttl)
	primary, running, lsn := "", false, int64(0)
	if l := c.Leader; l != nil {
		primary, running = l.Name, open(v, l)
		t.Term = proxy.Term{Cluster: l.Term.Cluster, Rev: l.Term.Rev}
		if v.own && l.Name == v.snap.Self.Name {
			t.ValidUntil = min(t.ValidUntil, v.snap.Lease.Deadline)
			if v.snap.FailsafeActive() {
				t.ValidUntil = v.snap.LeadUntil()
			}
		} else if v.own && l.Name == v.snap.Promise.To && l.Term == v.snap.Promise.Term && v.snap.Promised() {
			t.ValidUntil = max(t.ValidUntil, v.snap.Promise.Until) // nobody else can have been promoted before
		}
	}
	if m, ok := c.Member(primary); ok {
		lsn = max(m.XLogLocation, c.Status.Optime)
	}
	t.Position = lsn
	for _, m := range c.Members {
		if b, ok := backendOf(m, lsn); ok {
			b.Role = proxy.RoleReplica
			if m.Name == primary {
				b.Role, b.Running, b.LagBytes = proxy.RolePrimary, running, 0
				if m.Role == "standby_leader" {
					b.Role = proxy.RoleStandbyLeader // it takes no writes, and is no replica to read from either
				}
			}
			b.Sync = c.Sync.Mod != 0 && m.Name != c.Sync.Leader && c.Sync.Has(m.Name)
			if v.own && m.Name == v.snap.Self.Name && v.snap.PG.Phase != ha.Running {
				b.Running = false
			}
			t.Backends = append(t.Backends, b)
		}
	}
	return t
}

// open says whether the holder of the leader key takes writes.
func open(v *view, l *dcs.Leader) bool {
	if v.cluster.Initialize == "" {
		return false // the cluster is still being made
	}
	if v.own && l.Name == v.snap.Self.Name {
		s := &v.snap
		held := l.Lease == s.Lease.ID && s.PG.Phase == ha.Running && !s.PG.InRecovery
		return held && !v.hold && (s.Fence.Term == l.Term && s.Fence.Fired != l.Term || s.Fence.Unfenced)
	}
	m, ok := v.cluster.Member(l.Name)
	return ok && m.Role == "primary" && m.State == "running"
}

func backendOf(m dcs.Member, primaryLSN int64) (proxy.Backend, bool) {
	u, err := url.Parse(firstSet(m.ProxyURL, m.ConnURL))
	if err != nil || u.Host == "" {
		return proxy.Backend{}, false
	}
	host := u.Host
	if u.Port() == "" {
		host += ":5432"
	}
	b := proxy.Backend{
		Name: m.Name, Addr: host, Running: m.State == "running" && m.Role != "uninitialized", LagBytes: -1, LagTime: -1,
		Tags: proxy.Tags{Custom: map[string]string{}},
	}
	// Patroni before 4.1 writes one position into a replica's key, the later of received and replayed, and reckons lag by it.
	if at := cmp.Or(m.ReplayLSN, m.XLogLocation); at > 0 && primaryLSN > 0 {
		b.LagBytes = max(0, primaryLSN-at)
	}
	for k, v := range m.Tags {
		switch x := v.(type) {
		case bool:
			if k == "noloadbalance" {
				b.Tags.NoLoadBalance = x
			}
			b.Tags.Custom[k] = strconv.FormatBool(x)
		case string:
			b.Tags.Custom[k] = x
			if k == "zone" {
				b.Zone = x
			}
		case float64:
			b.Tags.Custom[k] = strconv.FormatFloat(x, 'f', -1, 64)
		}
	}
	return b, true
}
