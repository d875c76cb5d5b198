package ha

import (
	"time"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// PrePromote runs the command postgresql.pre_promote: the last word of the user's before this node opens for the term (Patroni 4.1,
// Postgresql.promote). It is bounded in time, and the lease is renewed meanwhile.
type PrePromote struct{ Term dcs.Term }

// Discard puts the data folder of a bootstrap that has failed aside, so that it is not taken for a cluster.
type Discard struct{}

// Lane says which actions exclude it.
func (PrePromote) Lane() Lane { return LanePG }

// Lane says which actions exclude it.
func (Discard) Lane() Lane { return LanePG }

func (PrePromote) String() string { return "run pre_promote" }
func (Discard) String() string    { return "put the folder of the failed bootstrap aside" }

// Hook is the outcome of pre_promote.
type Hook struct {
	Term dcs.Term // for which it was run
	OK   bool
	Text string // what went wrong
	At   boottime.Instant
}

// prePromoted says whether nothing of the user's stands against opening for the term. A command that has failed, or that did not end in time,
// costs the lead: another member may have more luck, and this one keeps away from the race for a ttl.
func (d *decider) prePromoted(t dcs.Term) bool {
	if d.s.Set.PostgreSQL.PrePromote == "" || d.mem.Promoted == t {
		return true
	}
	switch h := d.s.PG.Hook; {
	case h.Term == t && h.OK:
		return true
	case h.Term != t:
		d.because(CodePromoting, "running pre_promote")
		d.do(PrePromote{Term: t})
	case d.knownStandby() && !d.opBusy():
		d.because(CodeFailingOver, "released the leader key: pre_promote failed: %s", h.Text)
		d.release(dcs.Released{})
	default:
		d.because(CodeFailingOver, "pre_promote failed: %s", h.Text)
	}
	return false
}

// hookBackoff is how long this node still keeps away from the race because its pre_promote has failed; 0: it does not.
func (d *decider) hookBackoff() time.Duration {
	h := d.s.PG.Hook
	if h.OK || h.At.IsZero() || d.s.Set.PostgreSQL.PrePromote == "" {
		return 0
	}
	return max(0, h.At.Add(d.s.Set.TTL).Sub(d.s.Now))
}

// bootstrapFailed says whether the cluster that this node was making did not come about. Nothing was acknowledged in it: the initialize key
// still lacks a system identifier.
func (d *decider) bootstrapFailed() bool {
	f := d.s.PG.Failed
	return d.bootstrapping() && f.Action == "bootstrap" && f.Count > 0
}

// cancelBootstrap gives a bootstrap up that has failed, as Patroni does: PostgreSQL ends, the folder is put aside, the keys go, and the agent
// ends with an error that somebody reads.
func (d *decider) cancelBootstrap() {
	p := &d.s.PG
	d.because(CodeBootstrap, "giving the bootstrap up: %s", p.Failed.Text)
	switch {
	case d.opBusy():
	case p.Phase != Stopped:
		d.do(Stop{Mode: "immediate", Why: "the bootstrap has failed"})
	case p.Folder == FolderData || p.Folder == FolderBroken:
		d.do(Discard{})
	default:
		k, l := d.s.Keys, d.cluster.Leader
		d.commit("give the leader key and the initialize key back", dcs.Txn{
			If:   []dcs.Compare{dcs.CreatedAt(k.Leader(), l.Term.Rev), dcs.Unchanged(k.Initialize(), d.cluster.InitializeRev)},
			Then: []dcs.Op{dcs.Delete(k.Leader()), dcs.Delete(k.Initialize())},
		})
		d.do(Exit{Code: 1, Why: "the cluster could not be initialized: " + p.Failed.Text})
	}
}
