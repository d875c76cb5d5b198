package config

import "quorate/internal/config/dynamic"

// Tags are what a member says about itself to the others.
type Tags struct {
	NoFailover       bool
	FailoverPriority int // 1 unless written; a member with a higher one wins a race at equal positions
	NoSync           bool
	SyncPriority     int // 1 unless written
	CloneFrom        bool
	NoLoadBalance    bool
	NoStream         bool
	ReplicateFrom    string // the member to stream from, in place of the leader
	// All holds every tag that is shown to others, the members' own inventions too. A boolean that says no is left out as if it were not
	// written, unless the priority of the same matter is (patroni/tags.py, _filter_tags).
	All map[string]any
}

// tags reads the section. A boolean (nofailover, nosync) wins over the priority of the same matter; a priority of zero or less
// forbids like the boolean.
func (p *parser) tags(s *section) {
	t := &p.c.Tags
	t.NoFailover, t.FailoverPriority = p.forbidden(s, "nofailover", "failover_priority")
	t.NoSync, t.SyncPriority = p.forbidden(s, "nosync", "sync_priority")
	t.CloneFrom = s.bool("clonefrom", false)
	t.NoLoadBalance = s.bool("noloadbalance", false)
	t.NoStream = s.bool("nostream", false)
	t.ReplicateFrom = s.text("replicatefrom")
	t.All = map[string]any{}
	if s.tree == nil {
		return
	}
	for _, f := range s.tree.fields {
		if f.value.kind != isScalar {
			s.bad(f.name, "a number, text or boolean")
			continue
		}
		t.All[f.name] = f.value.scalar
	}
	p.plainTags(t)
}

// priorityOf names the priority of the same matter as a boolean.
var priorityOf = map[string]string{"nofailover": "failover_priority", "nosync": "sync_priority"}

// plainTags gives the booleans that have a meaning the form that readers expect, however they were written ("yes" becomes true). A priority
// stays as it is written, text or number: Patroni shows it so, and every reader takes both.
func (p *parser) plainTags(t *Tags) {
	for name, v := range map[string]bool{
		"nofailover": t.NoFailover, "nosync": t.NoSync, "clonefrom": t.CloneFrom,
		"noloadbalance": t.NoLoadBalance, "nostream": t.NoStream,
	} {
		if _, written := t.All[name]; written {
			t.All[name] = v
		}
		if _, ranked := t.All[priorityOf[name]]; !v && !ranked {
			delete(t.All, name)
		}
	}
}

// yes writes a boolean as Patroni's log does.
func yes(b bool) string {
	if b {
		return "True"
	}
	return "False"
}

// forbidden reads a boolean and the priority of the same matter.
func (p *parser) forbidden(s *section, boolean, priority string) (bool, int) {
	no := s.bool(boolean, false)
	n := int(read(s, priority, int64(1), dynamic.Int))
	if s.has(boolean) && s.has(priority) && no != (n <= 0) {
		p.warn(s.place(boolean), s.name(boolean), "Conflicting configuration between %[1]s: %[2]s and %[3]s: %[4]d. Defaulting to %[1]s: %[2]s", boolean, yes(no), priority, n)
	}
	if !s.has(boolean) {
		no = n <= 0
	}
	return no, n
}
