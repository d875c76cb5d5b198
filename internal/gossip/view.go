package gossip

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// Member is a host that is there, or was a moment ago.
type Member struct {
	Name    string
	Addr    string // where it gossips, host:port
	Meta    Meta
	Self    bool
	Suspect bool          // it did not answer this host's last probe, directly or through others
	RTT     time.Duration // of the last probe that it answered; 0 before
}

// Conflict is a second host that claims a name. Existing is the one that holds it in this host's eyes; the other is ignored.
type Conflict struct {
	Existing, Other Member
}

// Mine says whether the contested name is this host's own.
func (c Conflict) Mine() bool { return c.Existing.Self }

// View is what this host sees, as of one moment.
type View struct {
	Members   []Member   // by name; this host is one of them
	Conflicts []Conflict // by name; each stands until the other goes silent for a while or takes the name over
}

// Find is the member of that name.
func (v View) Find(name string) (Member, bool) {
	i := slices.IndexFunc(v.Members, func(m Member) bool { return m.Name == name })
	if i < 0 {
		return Member{}, false
	}
	return v.Members[i], true
}

// conflictMemory is how long a conflict is shown after its last sign. Each exchange of full state is one.
const conflictMemory = 90 * time.Second

// view keeps the members as memberlist's callbacks report them. memberlist holds its own lock while it calls, so nothing here may
// call it back.
type view struct {
	self string

	mu        sync.Mutex // guards what follows
	members   map[string]Member
	conflicts map[string]conflict
	watchers  map[chan View]bool
	news      chan struct{} // closed and replaced at each change
}

type conflict struct {
	Conflict
	seen time.Time
}

func newView(self string) *view {
	return &view{
		self: self, members: make(map[string]Member), conflicts: make(map[string]conflict),
		watchers: make(map[chan View]bool), news: make(chan struct{}),
	}
}

func (v *view) member(n *memberlist.Node) Member {
	return Member{Name: n.Name, Addr: n.Address(), Meta: decodeMeta(n.Meta), Self: n.Name == v.self}
}

// NotifyJoin implements memberlist.EventDelegate.
func (v *view) NotifyJoin(n *memberlist.Node) { v.set(v.member(n)) }

// NotifyUpdate implements memberlist.EventDelegate.
func (v *view) NotifyUpdate(n *memberlist.Node) { v.set(v.member(n)) }

// NotifyLeave implements memberlist.EventDelegate; it is called for hosts that left and for those declared dead.
func (v *view) NotifyLeave(n *memberlist.Node) {
	v.change(func() bool {
		_, had := v.members[n.Name]
		delete(v.members, n.Name)
		return had
	})
}

// NotifyConflict implements memberlist.ConflictDelegate.
func (v *view) NotifyConflict(existing, other *memberlist.Node) {
	a, b := v.member(existing), v.member(other)
	b.Self = false
	v.change(func() bool {
		old, had := v.conflicts[a.Name]
		v.conflicts[a.Name] = conflict{Conflict{a, b}, time.Now()}
		return !had || old.Other.Addr != b.Addr
	})
}

// set replaces what is known of a member, but for what probes have found out.
func (v *view) set(m Member) {
	v.change(func() bool {
		m.RTT = v.members[m.Name].RTT
		v.members[m.Name] = m
		if c, ok := v.conflicts[m.Name]; ok && c.Other.Addr == m.Addr {
			delete(v.conflicts, m.Name)
		}
		return true
	})
}

// suspect notes that a probe found nobody.
func (v *view) suspect(name string) {
	v.change(func() bool {
		m, ok := v.members[name]
		if !ok || m.Suspect {
			return false
		}
		m.Suspect = true
		v.members[name] = m
		return true
	})
}

// NotifyPingComplete implements memberlist.PingDelegate.
func (v *view) NotifyPingComplete(n *memberlist.Node, rtt time.Duration, _ []byte) {
	v.change(func() bool {
		m, ok := v.members[n.Name]
		if !ok {
			return false
		}
		was := m.Suspect
		m.Suspect, m.RTT = false, rtt
		v.members[n.Name] = m
		return was
	})
}

// AckPayload implements memberlist.PingDelegate.
func (v *view) AckPayload() []byte { return nil }

// change applies f and tells the watchers when f says that there is news.
func (v *view) change(f func() bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !f() {
		return
	}
	now := v.snapshot()
	for w := range v.watchers {
		offer(w, now)
	}
	close(v.news)
	v.news = make(chan struct{})
}

// offer puts now in w, in place of an older view that nobody has taken.
func offer(w chan View, now View) {
	select {
	case <-w:
	default:
	}
	w <- now // has room: only change, under mu, sends
}

// snapshot is called with mu held.
func (v *view) snapshot() View {
	out := View{Members: slices.SortedFunc(maps.Values(v.members), func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })}
	for name, c := range v.conflicts {
		if time.Since(c.seen) > conflictMemory {
			delete(v.conflicts, name)
			continue
		}
		out.Conflicts = append(out.Conflicts, c.Conflict)
	}
	slices.SortFunc(out.Conflicts, func(a, b Conflict) int { return strings.Compare(a.Existing.Name, b.Existing.Name) })
	return out
}

func (v *view) get() View {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.snapshot()
}

// changed is closed at the next change.
func (v *view) changed() <-chan struct{} {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.news
}

// watch delivers the present view at once, and the newest after each change.
func (v *view) watch() (ch chan View, stop func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	ch = make(chan View, 1)
	ch <- v.snapshot()
	v.watchers[ch] = true
	return ch, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.watchers, ch)
	}
}

// conflictOf is the address of the host that contests name.
func (v *view) conflictOf(name string) (addr string, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c, ok := v.conflicts[name]
	return c.Other.Addr, ok
}
