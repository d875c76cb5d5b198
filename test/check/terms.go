package check

import (
	"fmt"
	"sort"
	"time"

	"quorate/internal/boottime"
)

// Term is one reign: a run of one instance on one timeline, as its acknowledgements show it. A restart of the postmaster starts another one, which
// asks for more than leases do, and every correct cluster gives it.
type Term struct {
	Server Server
	Acks   int

	// The earliest commit happened at or before FirstBy, the latest at or after LastFrom: a commit lies somewhere between the start and the
	// end of its attempt, so these are the earliest end and the latest start of all.
	FirstBy, LastFrom boottime.Instant
	First, Last       Op // the attempts that say so
}

// before says that some commit of t certainly happened before some commit of u.
func (t Term) before(u Term) bool { return t.FirstBy.Before(u.LastFrom) }

// Violation is a proof of two primaries.
type Violation struct {
	A, B    Term
	Rule    string
	Overlap time.Duration // how long both certainly acknowledged; zero where the rule is not about time
}

func (v Violation) Error() string {
	return fmt.Sprintf("check: %s: %s (%d commits) and %s (%d commits), together for %s; see %s and %s",
		v.Rule, v.A.Server, v.A.Acks, v.B.Server, v.B.Acks, v.Overlap, v.A.Last.ID, v.B.First.ID)
}

// The rules of CheckTerms.
const (
	RuleAtOnce   = "two terms acknowledged commits at once"
	RuleBackward = "an older timeline acknowledged a commit after a newer one"
	RuleShared   = "two nodes acknowledged commits on one timeline"
	RuleSystems  = "two database systems acknowledged commits"
)

// reign is what tells terms apart. The node's address does not: a writer that came through a local socket may not know it.
type reign struct {
	systemID string
	timeline uint32
	started  int64
}

// Terms groups the acknowledged commits of a history by who acknowledged them, in order of their first.
func Terms(ops []Op) []Term {
	byReign := map[reign]*Term{}
	for _, op := range ops {
		if op.Outcome != Acked {
			continue
		}
		key := reign{op.Server.SystemID, op.Server.Timeline, op.Server.Started}
		if byReign[key] == nil {
			byReign[key] = &Term{Server: op.Server, FirstBy: op.End, LastFrom: op.Start, First: op, Last: op}
		}
		byReign[key].add(op)
	}
	terms := make([]Term, 0, len(byReign))
	for _, t := range byReign {
		terms = append(terms, *t)
	}
	sort.Slice(terms, func(i, j int) bool { return terms[i].FirstBy.Before(terms[j].FirstBy) })
	return terms
}

func (t *Term) add(op Op) {
	t.Acks++
	if t.Server.Node == "" {
		t.Server.Node = op.Server.Node
	}
	if op.End.Before(t.FirstBy) {
		t.FirstBy, t.First = op.End, op
	}
	if op.Start.After(t.LastFrom) {
		t.LastFrom, t.Last = op.Start, op
	}
}

// CheckTerms looks for proof that two primaries acknowledged writes at once. It is exact in the sense that a history without a violation has an order of
// its commits in which the terms follow each other, one timeline after the other.
func CheckTerms(ops []Op) []Violation {
	terms := Terms(ops)
	var bad []Violation
	for i, a := range terms {
		for _, b := range terms[i+1:] {
			if rule := conflict(a, b); rule != "" {
				bad = append(bad, Violation{A: a, B: b, Rule: rule, Overlap: overlap(a, b)})
			}
		}
	}
	return bad
}

// conflict names the rule that two terms break together; the first that applies, gravest first. Node is part of a shared timeline's rule because one
// node may restart in place and go on with its timeline.
func conflict(a, b Term) string {
	older, newer := a, b
	if older.Server.Timeline > newer.Server.Timeline {
		older, newer = b, a
	}
	switch {
	case a.Server.SystemID != b.Server.SystemID:
		return RuleSystems
	case a.before(b) && b.before(a):
		return RuleAtOnce
	case older.Server.Timeline == newer.Server.Timeline && different(a.Server.Node, b.Server.Node):
		return RuleShared
	case older.Server.Timeline < newer.Server.Timeline && newer.before(older):
		return RuleBackward
	}
	return ""
}

// different says that both nodes are known and are not one.
func different(a, b string) bool { return a != "" && b != "" && a != b }

// overlap is the time in which both terms certainly were in office.
func overlap(a, b Term) time.Duration {
	from, to := max(a.FirstBy, b.FirstBy), min(a.LastFrom, b.LastFrom)
	return max(0, to.Sub(from))
}
