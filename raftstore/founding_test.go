package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

func TestJudge(t *testing.T) {
	set := &FounderSet{Name: "s", Members: []Member{{ID: 1}, {ID: 2}, {ID: 3}}}
	for _, c := range []struct {
		name    string
		answers map[uint64]answer
		want    verdict
	}{
		{"nobody answered", map[uint64]answer{1: answerPromised}, verdictWait},
		{"one is missing", map[uint64]answer{1: answerPromised, 2: answerPromised}, verdictWait},
		{"one is busy", map[uint64]answer{1: answerPromised, 2: answerPromised, 3: answerBusy}, verdictWait},
		{"all promised", map[uint64]answer{1: answerPromised, 2: answerPromised, 3: answerPromised}, verdictFound},
		{"one refused", map[uint64]answer{1: answerPromised, 2: answerRefused}, verdictDead},
		{"one has founded, one was emptied since", map[uint64]answer{1: answerPromised, 2: answerRefused, 3: answerFounded}, verdictFound},
		{"one has founded", map[uint64]answer{1: answerPromised, 3: answerFounded}, verdictFound},
	} {
		if got := judge(set, c.answers); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestChoose(t *testing.T) {
	fresh := func(id uint64, expect int) hello { return hello{Member: Member{ID: id}, Expect: expect} }
	for _, c := range []struct {
		name   string
		self   uint64
		expect int
		others []hello
		want   []uint64
	}{
		{"alone", 5, 1, nil, []uint64{5}},
		{"too few", 1, 3, []hello{fresh(2, 3)}, nil},
		{"lowest of enough", 1, 3, []hello{fresh(3, 3), fresh(2, 3)}, []uint64{1, 2, 3}},
		{"not the lowest", 2, 3, []hello{fresh(3, 3), fresh(1, 3)}, nil},
		{"more than enough", 1, 3, []hello{fresh(9, 3), fresh(3, 3), fresh(2, 3)}, []uint64{1, 2, 3}},
		{"one expects otherwise", 1, 3, []hello{fresh(3, 5), fresh(2, 3)}, nil},
		{"one answered twice", 1, 3, []hello{fresh(2, 3), fresh(2, 3)}, nil},
		{"never", 1, 0, []hello{fresh(2, 0)}, nil},
	} {
		var got []uint64
		for _, m := range choose(Member{ID: c.self}, c.expect, c.others) {
			got = append(got, m.ID)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPromisesSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	set := &FounderSet{Name: "s", Members: []Member{{ID: 1, PeerAddr: "a"}, {ID: 2, PeerAddr: "b"}}}
	other := &FounderSet{Name: "o", Members: set.Members}
	reopen := func() *promises {
		p, err := loadPromises(dir, 1)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	expect := func(r reply, err error, want answer) {
		t.Helper()
		if err != nil || r.Answer != want {
			t.Fatalf("%v, %v, want %s", r.Answer, err, want)
		}
	}
	r, err := reopen().promise(set)
	expect(r, err, answerPromised)
	r, err = reopen().promise(other)
	expect(r, err, answerBusy)
	r, err = reopen().refuse(set.Name)
	expect(r, err, answerPromised)
	r, err = reopen().refuse(other.Name)
	expect(r, err, answerRefused)
	if err := reopen().release(set.Name); err != nil {
		t.Fatal(err)
	}
	r, err = reopen().promise(other)
	expect(r, err, answerRefused)
	r, err = reopen().promise(set)
	expect(r, err, answerRefused)
	if ok, err := reopen().join(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	r, err = reopen().promise(&FounderSet{Name: "third", Members: set.Members})
	expect(r, err, answerRefused)
}

// foundingHost is a host in a simulated founding: its promises are real and on disk, its network is the schedule.
type foundingHost struct {
	id      uint64
	dir     string
	p       *promises
	founded string // name of the set by which it founded
}

// answer is the host's side of a call, as Store.answerFounding gives it.
func (h *foundingHost) answer(t *rapid.T, m method, set *FounderSet) reply {
	if h.founded != "" {
		if h.founded == set.Name {
			return reply{Answer: answerFounded}
		}
		return reply{Answer: answerRefused}
	}
	var r reply
	var err error
	switch m {
	case methodPromise:
		r, err = h.p.promise(set)
	case methodRelease:
		r, err = h.p.refuse(set.Name)
	case methodFound:
		if p := h.p.promised(); p != nil && p.Name == set.Name {
			h.founded = set.Name
			return reply{Answer: answerFounded}
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Whatever is lost, delayed or restarted: no host founds twice, no two foundings share a host, and a set founds only what
// all its members promised themselves to.
func TestFoundingRaces(t *testing.T) {
	root := t.TempDir()
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		n := rapid.IntRange(2, 5).Draw(t, "hosts")
		hosts := map[uint64]*foundingHost{}
		for i := range n {
			id := uint64(i + 1)
			dir := filepath.Join(root, fmt.Sprint(runs), fmt.Sprint(id))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			p, err := loadPromises(dir, id)
			if err != nil {
				t.Fatal(err)
			}
			hosts[id] = &foundingHost{id: id, dir: dir, p: p}
		}
		sets := map[string]*FounderSet{}
		for step := range rapid.IntRange(1, 25).Draw(t, "steps") {
			h := hosts[uint64(rapid.IntRange(1, n).Draw(t, "who"))]
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0: // restart
				p, err := loadPromises(h.dir, h.id)
				if err != nil {
					t.Fatal(err)
				}
				h.p = p
			case 1, 2: // propose to some of the hosts
				if h.founded != "" || h.p.promised() != nil {
					continue
				}
				set := &FounderSet{Name: fmt.Sprintf("%d-%d", rapid.IntRange(0, 9).Draw(t, "name"), step)}
				for id := uint64(1); id <= uint64(n); id++ {
					if id == h.id || rapid.Bool().Draw(t, "with") {
						set.Members = append(set.Members, Member{ID: id, PeerAddr: "x"})
					}
				}
				sets[set.Name] = set
				h.answer(t, methodPromise, set)
			default:
				simulateResolve(t, h, hosts)
			}
		}
		checkFoundings(t, hosts, sets)
	})
}

// simulateResolve is Store.resolve over a network that loses any message, request or reply.
func simulateResolve(t *rapid.T, h *foundingHost, hosts map[uint64]*foundingHost) {
	set := h.p.promised()
	if set == nil || h.founded != "" {
		return
	}
	call := func(to uint64, m method) (reply, error) {
		fate := rapid.IntRange(0, 3).Draw(t, "fate")
		if fate == 0 {
			return reply{}, errors.New("request lost")
		}
		r := hosts[to].answer(t, m, set)
		if fate == 1 {
			return reply{}, errors.New("reply lost")
		}
		return r, nil
	}
	answers := map[uint64]answer{h.id: answerPromised}
	for _, m := range set.Members {
		if m.ID == h.id {
			continue
		}
		r, err := call(m.ID, methodPromise)
		if err != nil {
			continue
		}
		answers[m.ID] = r.Answer
		if r.Answer == answerBusy && r.Set.Name < set.Name {
			if r, err := call(m.ID, methodRelease); err == nil {
				answers[m.ID] = r.Answer
			}
		}
	}
	switch judge(set, answers) {
	case verdictDead:
		if err := h.p.release(set.Name); err != nil {
			t.Fatal(err)
		}
	case verdictFound:
		h.founded = set.Name
		for _, m := range set.Members {
			if m.ID != h.id {
				call(m.ID, methodFound)
			}
		}
	}
}

func checkFoundings(t *rapid.T, hosts map[uint64]*foundingHost, sets map[string]*FounderSet) {
	for _, h := range hosts {
		if h.founded == "" {
			continue
		}
		set := sets[h.founded]
		for _, m := range set.Members {
			peer := hosts[m.ID]
			if peer.founded != "" && peer.founded != h.founded {
				t.Fatalf("host %d founded %s, and host %d of the same set founded %s", h.id, h.founded, m.ID, peer.founded)
			}
			if p := peer.p.promised(); peer.founded == "" && (p == nil || p.Name != h.founded) {
				t.Fatalf("host %d founded %s, to which host %d is not promised", h.id, h.founded, m.ID)
			}
		}
	}
}

// A store that is closed while it founds its cluster leaves no Raft behind, which would write to a closed log.
func TestCloseWhileFounding(t *testing.T) {
	t.Parallel()
	var b brake
	founding := make(chan struct{})
	begun := sync.OnceFunc(func() { close(founding) })
	c := newCluster(t, 1, func(_ int, o *Options) {
		o.hooks.beforeWrite = func() error { begun(); return b.write() }
	})
	b.hang.Store(true)
	defer b.hang.Store(false)
	c.open(0)
	s := c.store(0)
	c.members[0].store = nil
	<-founding
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.port.done // Close has looked for Raft by now, in vain
	b.hang.Store(false)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if n := s.node.Load(); n == nil || n.raft.State() != raft.Shutdown {
		t.Errorf("Raft was left: %+v", n)
	}
	select {
	case err := <-s.Failed():
		t.Errorf("failed: %v", err)
	default:
	}
	c.open(0)
	c.put(0, "k", "v")
}
