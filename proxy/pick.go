package proxy

import (
	"fmt"
	"strings"
	"time"

	"quorate/internal/boottime"
)

// Target says which backends a listener is for.
type Target string

// The targets. What they select follows Patroni's health endpoints of the same sense (/primary, /replica, /sync, /read-only).
const (
	TargetPrimary          Target = "primary"
	TargetReplica          Target = "replica"
	TargetSync             Target = "sync"
	TargetAny              Target = "any"                // primary, replicas and standby leader alike
	TargetPrimaryOrReplica Target = "primary-or-replica" // the primary; while there is none, a replica
	TargetTag              Target = "tag"                // running members that carry Rule.Tag
)

// Balance says how one of several possible backends is chosen.
type Balance string

// The ways to balance. The zero value is BalanceLeast.
const (
	BalanceLeast   Balance = "leastconn"
	BalanceRound   Balance = "roundrobin"
	BalanceRandom  Balance = "random"
	BalanceSource  Balance = "source"  // one client address, one backend, as long as the same backends serve: encrypted cancel requests arrive
	BalanceNearest Balance = "nearest" // least connections among those of the router's zone, then among the others
)

// Rule is the part of a listener's configuration that choosing depends on.
type Rule struct {
	Target            Target
	Tag               string // for TargetTag: "key" or "key=value"
	Balance           Balance
	MaxLagBytes       int64         // 0: no limit
	MaxLagTime        time.Duration // 0: no limit
	FallbackToPrimary bool          // use the primary when no other backend qualifies
}

// Validate names the key that cannot be followed.
func (r Rule) Validate() error {
	switch r.Target {
	case TargetPrimary, TargetReplica, TargetSync, TargetAny, TargetPrimaryOrReplica:
	case TargetTag:
		if r.Tag == "" {
			return fmt.Errorf("target: tag needs the key tag with a tag's name, or name=value")
		}
	default:
		return fmt.Errorf("target: found %q, expected primary, replica, sync, any, primary-or-replica or tag", r.Target)
	}
	switch r.Balance {
	case "", BalanceLeast, BalanceRound, BalanceRandom, BalanceSource, BalanceNearest:
	default:
		return fmt.Errorf("balance: found %q, expected leastconn, roundrobin, random, source or nearest", r.Balance)
	}
	if r.MaxLagBytes < 0 || r.MaxLagTime < 0 {
		return fmt.Errorf("maximum lag: found a negative value, expected 0 (no limit) or more")
	}
	return nil
}

// Refusal says why no backend was chosen; the empty Refusal is none. It doubles as a metric label.
type Refusal string

// The reasons for which a client waits.
const (
	RefusalNoTable   Refusal = "no_table"
	RefusalExpired   Refusal = "table_expired"
	RefusalNoPrimary Refusal = "no_primary"
	RefusalNoReplica Refusal = "no_replica"
	RefusalSuspect   Refusal = "backend_unreachable"
	RefusalLimit     Refusal = "limit"
)

// Query is all that the choice of a backend depends on.
type Query struct {
	Table      *Table // nil before the first one
	Now        boottime.Instant
	StaleReads time.Duration // how long an expired table still serves replicas
	Rule       Rule
	Zone       string                 // the router's own
	Turn       uint64                 // a counter for round robin, a random number for random, the client's hash for source
	Lagging    map[string]bool        // by Laggards
	Suspect    func(name string) bool // failed a connect since the table came
	Full       func(name string) bool // has reached its session limit
	Load       func(name string) int  // present sessions
}

// Choice is a backend, and the term that the session lives and dies with: zero unless the backend is the primary.
type Choice struct {
	Backend Backend
	Term    Term
}

// Pick chooses the backend of a new session, or says why there is none. It does not look at the clock or keep a memory.
func Pick(q Query) (Choice, Refusal) {
	if q.Table == nil {
		return Choice{}, RefusalNoTable
	}
	switch q.Rule.Target {
	case TargetPrimary:
		return pickPrimary(q)
	case TargetPrimaryOrReplica:
		if c, no := pickPrimary(q); no == "" {
			return c, no
		}
		return pickBalanced(q)
	}
	c, no := pickBalanced(q)
	if no != "" && q.Rule.FallbackToPrimary {
		if p, noPrimary := pickPrimary(q); noPrimary == "" {
			return p, ""
		}
	}
	return c, no
}

func pickPrimary(q Query) (Choice, Refusal) {
	p, ok := q.Table.Primary()
	switch {
	case q.Table.Expired(q.Now):
		return Choice{}, RefusalExpired
	case !ok || !p.Running:
		return Choice{}, RefusalNoPrimary
	case q.Suspect(p.Name):
		return Choice{}, RefusalSuspect
	case q.Full(p.Name):
		return Choice{}, RefusalLimit
	}
	return Choice{Backend: p, Term: q.Table.Term}, ""
}

// pickBalanced chooses among the backends that the rule allows beside the primary-only way.
func pickBalanced(q Query) (Choice, Refusal) {
	if q.Now.After(q.Table.ValidUntil.Add(q.StaleReads)) {
		return Choice{}, RefusalExpired
	}
	var fit []Backend
	no := RefusalNoReplica
	for _, b := range q.Table.Backends {
		switch {
		case !serves(q, b) || q.Lagging[b.Name]:
		case q.Suspect(b.Name):
			no = RefusalSuspect
		case q.Full(b.Name):
			no = RefusalLimit
		default:
			fit = append(fit, b)
		}
	}
	if len(fit) == 0 {
		return Choice{}, no
	}
	b := balance(q, fit)
	if b.Role == RolePrimary {
		return Choice{Backend: b, Term: q.Table.Term}, ""
	}
	return Choice{Backend: b}, ""
}

// serves says whether b is of the kind that the rule asks for. A primary counts only by a valid table, on any listener: a
// session there can write.
func serves(q Query, b Backend) bool {
	if !b.Running || b.Tags.NoLoadBalance {
		return false
	}
	if b.Role == RolePrimary && (q.Table.Term.IsZero() || q.Table.Expired(q.Now)) {
		return false
	}
	switch q.Rule.Target {
	case TargetReplica, TargetPrimaryOrReplica:
		return b.Role == RoleReplica
	case TargetSync:
		return b.Role == RoleReplica && b.Sync
	case TargetTag:
		return b.Tags.has(q.Rule.Tag)
	}
	return q.Rule.Target == TargetAny
}

// mayServe says whether b could be chosen under the rule if no other backend were to be had.
func mayServe(q Query, b Backend) bool {
	r := q.Rule
	if b.Role == RolePrimary && (r.Target == TargetPrimary || r.Target == TargetPrimaryOrReplica || r.FallbackToPrimary) {
		return b.Running && !q.Table.Term.IsZero() && !q.Table.Expired(q.Now)
	}
	return serves(q, b)
}

// has says whether the tags hold want, written as "key" (any value but false) or "key=value".
func (t Tags) has(want string) bool {
	key, value, exact := strings.Cut(want, "=")
	v, ok := t.Custom[key]
	if exact {
		return ok && v == value
	}
	return ok && v != "false"
}

func balance(q Query, fit []Backend) Backend {
	switch q.Rule.Balance {
	case BalanceRound, BalanceRandom:
		return fit[q.Turn%uint64(len(fit))]
	case BalanceSource:
		return rendezvous(q.Turn, fit)
	case BalanceNearest:
		var near []Backend
		for _, b := range fit {
			if b.Zone != "" && b.Zone == q.Zone {
				near = append(near, b)
			}
		}
		if len(near) > 0 {
			return least(q, near)
		}
	}
	return least(q, fit)
}

// rendezvous is the backend with the highest score for the client: when one comes or goes, no client of the others moves.
func rendezvous(client uint64, fit []Backend) (best Backend) {
	top := uint64(0)
	for _, b := range fit {
		h := client
		for _, c := range []byte(b.Name) {
			h = (h ^ uint64(c)) * 1099511628211 // FNV-1a, continued from the client's hash
		}
		h ^= h >> 32 // its high bits depend little on the last letter, by which names often differ
		h *= 0x9e3779b97f4a7c15
		if h >= top {
			top, best = h, b
		}
	}
	return best
}

// least is the backend with the fewest sessions; equals take turns.
func least(q Query, fit []Backend) Backend {
	start := int(q.Turn % uint64(len(fit)))
	best := fit[start]
	for i := 1; i < len(fit); i++ {
		if b := fit[(start+i)%len(fit)]; q.Load(b.Name) < q.Load(best.Name) {
			best = b
		}
	}
	return best
}

// Laggards are the backends that rule's lag limits keep out, given those it kept out by the table before. Whoever exceeded a
// limit comes back only at four fifths of it, so that a replica near the limit does not flap. Unknown lag is over any limit.
func Laggards(t *Table, rule Rule, before map[string]bool) map[string]bool {
	if rule.MaxLagBytes == 0 && rule.MaxLagTime == 0 {
		return nil
	}
	out := make(map[string]bool)
	for _, b := range t.Backends {
		if b.Role == RolePrimary {
			continue
		}
		bytes, age := rule.MaxLagBytes, rule.MaxLagTime
		if before[b.Name] {
			bytes, age = bytes-bytes/5, age-age/5
		}
		if rule.MaxLagBytes > 0 && (b.LagBytes < 0 || b.LagBytes > bytes) ||
			rule.MaxLagTime > 0 && (b.LagTime < 0 || b.LagTime > age) {
			out[b.Name] = true
		}
	}
	return out
}
