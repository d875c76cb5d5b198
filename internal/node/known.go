package node

import (
	"strings"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/raftstore/dcs"
)

// known is all that the node knows. The loop's goroutine owns it.
type known struct {
	self      ha.Self
	keys      dcs.Keys
	set       dynamic.Config
	store     ha.Store
	lease     ha.Lease
	pg        ha.PG
	fence     ha.Fence
	race      ha.Race
	safe      ha.Failsafe
	vow       ha.Promise
	safeSlots ha.SafeSlots
	asked     ha.Asked
	mem       ha.Memory

	lanes     map[ha.Lane]*lane
	settings  func(shared []byte) dynamic.Config
	local     *config.Config // the newest that was read
	served    *servedBy      // nil: no postmaster was seen yet
	copied    func([]byte)   // takes each shared configuration
	configRev int64
	opText    string // what the PostgreSQL operation in flight is, for people
	opSince   time.Time
	failed    *rest.FailedOperation // the last one, for people; nil: it has succeeded, or there was none
}

// lane is an action in flight, or one that has ended and whose effect is not in view yet.
type lane struct {
	done  bool
	until int64            // the revision that the view must reach
	since boottime.Instant // when it ended
}

// settleTime bounds how long an ended commit may keep its lane busy while the view lags behind: a watch that broke is listed
// again within this time, and every commit carries compares.
const settleTime = 2 * time.Second

// busy says which lanes are taken.
func (k *known) busy(now boottime.Instant) map[ha.Lane]bool {
	out := map[ha.Lane]bool{}
	for name, l := range k.lanes {
		switch {
		case !l.done:
			out[name] = true
		case k.store.Cluster != nil && k.store.Cluster.Revision >= l.until, now.Sub(l.since) > settleTime:
			delete(k.lanes, name)
		default:
			out[name] = true
		}
	}
	return out
}

func (k *known) take(l ha.Lane) { k.lanes[l] = &lane{} }

func (k *known) free(l ha.Lane) { delete(k.lanes, l) }

// settle keeps a lane busy until the view has reached a revision.
func (k *known) settle(l ha.Lane, rev int64, now boottime.Instant) {
	k.lanes[l] = &lane{done: true, until: rev, since: now}
}

// snapshot is what Decide sees.
func (k *known) snapshot(now boottime.Instant, wall time.Time) ha.Snapshot {
	return ha.Snapshot{
		Now: now, Wall: wall, Self: k.self, Set: k.set, Keys: k.keys, Store: k.store, Lease: k.lease, PG: k.pg, Fence: k.fence,
		Race: k.race, Failsafe: k.safe, Promise: k.vow, SafeSlots: k.safeSlots, Busy: k.busy(now), Asked: k.asked, Mem: k.mem,
	}
}

// event is something that was learned. fold puts it into known.
type event interface{ fold(k *known) }

// viewEvent is the cluster's state, or that it could not be read.
type viewEvent struct {
	cluster *dcs.Cluster
	seenAt  boottime.Instant
	err     error
}

func (e viewEvent) fold(k *known) {
	k.store.Down = e.err != nil
	if e.cluster == nil {
		return
	}
	if old := k.store.Cluster; old != nil {
		switch {
		case old.ClusterID != e.cluster.ClusterID:
			k.store.OwnRev = 0 // another store: its revisions say nothing about the former one's
		case old.Revision > e.cluster.Revision:
			return // a view never goes back
		}
	}
	k.store.Cluster = e.cluster
	k.store.SeenAt = max(k.store.SeenAt, e.seenAt)
	if e.cluster.ConfigRev != k.configRev || k.configRev == 0 {
		k.configRev = e.cluster.ConfigRev
		if shared := e.cluster.Config; shared != nil { // what becomes the key again, should it be lost
			k.self.BootstrapConfig = shared
			k.copied(shared)
		}
		k.set = k.settings(e.cluster.Config)
	}
}

// leaseEvent is the outcome of a grant or a renewal.
type leaseEvent struct {
	id   int64
	ttl  time.Duration
	sent boottime.Instant
	gone bool // the store does not know the lease any more
	err  error
}

func (e leaseEvent) fold(k *known) {
	k.free(ha.LaneLease)
	switch {
	case e.gone && e.id == k.lease.ID:
		k.lease = ha.Lease{}
	case e.err != nil:
		k.lease.Tried = max(k.lease.Tried, e.sent)
	default:
		k.lease = ha.Lease{ID: e.id, TTL: e.ttl, Sent: e.sent, Tried: e.sent, Deadline: e.sent.Add(e.ttl)}
	}
}

// commitEvent is the outcome of a store transaction.
type commitEvent struct {
	lane      ha.Lane
	what      string
	succeeded bool
	cluster   uint64
	revision  int64
	made      int64 // the create revision of what it has made
	at        boottime.Instant
	err       error
}

func (e commitEvent) fold(k *known) {
	aboutSync := e.what == ha.AcquireLead || strings.HasPrefix(e.what, ha.SyncChange)
	if aboutSync {
		k.mem.SyncInDoubt = e.err != nil
	}
	if e.err != nil {
		// The outcome may be unknown: what is true now shows in the next view, which the watcher was told to read.
		k.settle(e.lane, k.revision()+1, e.at)
		return
	}
	k.settle(e.lane, e.revision, e.at)
	if e.succeeded {
		k.store.OwnRev = max(k.store.OwnRev, e.revision)
	}
	if e.what == ha.AcquireLead && e.succeeded {
		k.mem.Acquired = dcs.Term{Cluster: e.cluster, Rev: e.made}
	}
}

func (k *known) revision() int64 {
	if k.store.Cluster == nil {
		return 0
	}
	return k.store.Cluster.Revision
}

// fenceEvent is what the fence says.
type fenceEvent struct{ fence ha.Fence }

func (e fenceEvent) fold(k *known) { k.fence = e.fence }

// armedEvent ends an action of the fence's lane.
type armedEvent struct {
	fence ha.Fence
	err   error
}

func (e armedEvent) fold(k *known) {
	k.free(ha.LaneFence)
	k.fence = e.fence
}

// pgEvent is a change of what is known of PostgreSQL.
type pgEvent struct{ change func(*ha.PG) }

func (e pgEvent) fold(k *known) { e.change(&k.pg) }

// opEvent is the end of a PostgreSQL operation, with what was seen after it.
type opEvent struct {
	kind   string
	change func(*ha.PG)
	err    error
	at     boottime.Instant
}

func (e opEvent) fold(k *known) {
	k.free(ha.LanePG)
	k.failed = failedOperation(k.failed, k.opText, e.err)
	k.opText = ""
	k.pg.Copying = false
	if e.change != nil {
		e.change(&k.pg)
	}
	if e.err == nil {
		if k.pg.Failed.Action == e.kind || e.kind == "clone" { // whatever failed before a copy failed on another folder
			k.pg.Failed = ha.OpFailure{}
		}
		return
	}
	f := &k.pg.Failed
	if f.Action != e.kind {
		*f = ha.OpFailure{Action: e.kind}
	}
	f.Text, f.At = e.err.Error(), e.at
	f.Count++
}

var inOneLine = strings.NewReplacer("\n\t", " ", "\n", "; ")

// failedOperation is what is told of the end of an operation, was what was told before it. Those of one name are counted while they fail in a row.
func failedOperation(was *rest.FailedOperation, name string, err error) *rest.FailedOperation {
	if err == nil {
		return nil
	}
	f := &rest.FailedOperation{Kind: name, Error: inOneLine.Replace(err.Error()), Count: 1, At: time.Now()}
	if was != nil && was.Kind == name {
		f.Count += was.Count
	}
	return f
}

// raceEvent is what the peers answered.
type raceEvent struct{ race ha.Race }

func (e raceEvent) fold(k *known) {
	k.free(ha.LanePeers)
	k.race = e.race
}

// hostsEvent is what gossip knows of the hosts with the postgres role.
type hostsEvent struct {
	expected []string
	more     bool
}

func (e hostsEvent) fold(k *known) { k.store.Expected, k.store.ExpectMore = e.expected, e.more }

// askEvent is a request of an operator or of the process's life.
type askEvent struct{ change func(*ha.Asked) }

func (e askEvent) fold(k *known) { e.change(&k.asked) }

// wakeEvent says only "look again".
type wakeEvent struct{}

func (wakeEvent) fold(*known) {}
