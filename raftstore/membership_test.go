package raftstore

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"quorate/internal/freeport"
)

// Hosts that start one after the other, in every order, found one cluster.
func TestFoundingInEveryOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 3, nil)
			for _, i := range order {
				if c.members[order[2]].store == nil && i == order[2] {
					for _, j := range order[:2] {
						if c.store(j).ClusterID() != 0 {
							t.Errorf("member %d founded without the third", j)
						}
					}
				}
				c.open(i)
			}
			for i := range 3 {
				c.waitReady(i)
			}
			if a, b := c.store(0).ClusterID(), c.store(2).ClusterID(); a != b {
				t.Errorf("two clusters: %x and %x", a, b)
			}
		})
	}
}

// A host that is killed after its promise and before the founding takes up where it was.
func TestFoundingSurvivesRestarts(t *testing.T) {
	c := newCluster(t, 3, nil)
	c.wires.set(true, 2, 0, 1) // the third answers nobody
	c.openAll()
	for range 3 {
		for i := range 3 {
			c.kill(i)
			c.open(i)
		}
	}
	c.wires.set(false, 2, 0, 1)
	for i := range 3 {
		c.waitReady(i)
	}
	c.put(0, "k", "v")
	if got := c.get(2, "k"); got != "v" {
		t.Errorf("read %q", got)
	}
}

// A host that was named a founder and emptied before it promised does not hold the others up for ever.
func TestFounderThatWasEmptied(t *testing.T) {
	c := newCluster(t, 3, nil)
	set := &FounderSet{Name: "stuck", Members: []Member{{ID: 1 << 62, PeerAddr: c.members[2].opts.Listen}}}
	for i := range 2 {
		id, err := newIdentity(c.members[i].opts.Dir, c.members[i].opts.MachineID, c.members[i].opts.Listen)
		if err != nil {
			t.Fatal(err)
		}
		set.Members = append(set.Members, Member{ID: id.ID, PeerAddr: id.PeerAddr})
	}
	sortedMembers(set.Members)
	for i := range 2 {
		if err := writeJSON(filepath.Join(c.members[i].opts.Dir, promiseFile), promiseRecord{Promised: set}); err != nil {
			t.Fatal(err)
		}
	}
	c.openAll()
	for i := range 3 {
		c.waitReady(i)
		if got := c.store(i).ClusterID(); got == set.clusterID() || got != c.store(0).ClusterID() {
			t.Errorf("member %d is in cluster %x", i, got)
		}
	}
}

// A member that moved to another address is reachable there once its folder was adopted.
func TestMemberMoves(t *testing.T) {
	c := started(t, 3, nil)
	who := c.others(c.leader())[0]
	c.kill(who)
	m := c.members[who]
	c.mu.Lock()
	c.wires.mu.Lock()
	m.opts.Listen, m.opts.AdoptFolder = freeport.Addr(t), true
	c.wires.owner[m.opts.Listen] = who
	c.wires.mu.Unlock()
	c.mu.Unlock()
	c.put(c.leader(), "k", "v")
	c.open(who)
	c.waitReady(who)
	if got := c.get(who, "k"); got != "v" {
		t.Errorf("read %q", got)
	}
	waitFor(t, "its record", func() bool {
		return slices.ContainsFunc(c.store(c.leader()).Members(), func(x *pb.Member) bool {
			return x.ID == c.store(who).ID() && x.PeerURLs[0] == "http://"+m.opts.Listen
		})
	})
}

func TestRestartOfAllKeepsEverything(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	for n := range 50 {
		c.put(n%3, fmt.Sprint("k", n%7), fmt.Sprint(n))
	}
	id := c.grant(0, 100)
	c.putLeased(0, "leased", id)
	rev, cluster := c.put(0, "last", "x").Header.Revision, c.store(0).ClusterID()
	for i := range 3 {
		c.kill(i)
	}
	c.openAll()
	for i := range 3 {
		c.waitReady(i)
		h := c.store(i).Header()
		if h.Revision != rev || h.ClusterId != cluster {
			t.Errorf("member %d is back at revision %d of cluster %x, was %d of %x", i, h.Revision, h.ClusterId, rev, cluster)
		}
		if c.get(i, "leased") == "" {
			t.Errorf("member %d lost a leased key", i)
		}
	}
	if _, err := c.store(1).LeaseRenew(t.Context(), id); err != nil {
		t.Error(err)
	}
}

func TestOneFoundsAloneAndGrows(t *testing.T) {
	t.Parallel()
	c := started(t, 1, nil)
	c.put(0, "k", "v")
	for range 2 {
		i := c.add(1)
		c.open(i)
		c.waitReady(i)
		if got := c.get(i, "k"); got != "v" {
			t.Fatalf("the host that joined reads %q", got)
		}
	}
	waitFor(t, "the joiners to vote", func() bool { return len(c.store(0).node.Load().voters()) == 3 })
	for i := range 3 {
		if c.store(i).ClusterID() != c.store(0).ClusterID() {
			t.Errorf("member %d is in another cluster", i)
		}
		waitFor(t, "names", func() bool {
			return !slices.ContainsFunc(c.store(i).Members(), func(m *pb.Member) bool { return m.Name == "" || m.IsLearner })
		})
	}
	c.kill(c.leader())
	c.putEventually(c.leader(), "k", "w")
}

func TestMemberAddPromoteRemove(t *testing.T) {
	c := started(t, 3, nil)
	i := c.add(3)
	url := "http://" + c.members[i].opts.Listen
	resp, err := c.store(1).MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{url}, IsLearner: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(resp.Members) != 4 || resp.Member.ID == 0 {
		t.Fatalf("answer %v", resp)
	}
	if _, err := c.store(1).MemberAdd(t.Context(), &pb.MemberAddRequest{PeerURLs: []string{url}}); !errors.Is(err, ErrPeerURLExists) {
		t.Errorf("adding it twice: %v", err)
	}
	promote := &pb.MemberPromoteRequest{ID: resp.Member.ID}
	if _, err := c.store(1).MemberPromote(t.Context(), promote); !errors.Is(err, etcderrors.ErrLearnerNotReady) {
		t.Errorf("promoting a learner that never started: %v", err)
	}
	c.open(i)
	c.waitReady(i)
	if got := c.store(i).ID(); got != resp.Member.ID {
		t.Errorf("the host took id %x, its place has %x", got, resp.Member.ID)
	}
	if !c.store(i).IsLearner() {
		t.Error("it is no learner")
	}
	waitFor(t, "the learner to keep up", func() bool {
		_, err := c.store(1).MemberPromote(t.Context(), promote)
		return err == nil
	})
	if _, err := c.store(1).MemberPromote(t.Context(), promote); !errors.Is(err, ErrMemberNotLearner) {
		t.Errorf("promoting a voter: %v", err)
	}
	if _, err := c.store(1).MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: resp.Member.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store(1).MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: resp.Member.ID}); !errors.Is(err, ErrMemberNotFound) {
		t.Errorf("removing it twice: %v", err)
	}
	waitFor(t, "all to know of it", func() bool { return len(c.store(0).Members()) == 3 })
}

func TestEmptiedHostComesBackAsAnother(t *testing.T) {
	c := started(t, 3, nil)
	c.put(0, "k", "v")
	victim := c.others(c.leader())[0]
	old := c.store(victim).ID()
	c.kill(victim)
	if err := os.RemoveAll(c.members[victim].opts.Dir); err != nil {
		t.Fatal(err)
	}
	c.open(victim)
	c.waitReady(victim)
	if c.store(victim).ID() == old {
		t.Fatal("a host without its votes came back under the same id")
	}
	if got := c.get(victim, "k"); got != "v" {
		t.Errorf("read %q", got)
	}
	waitFor(t, "three voters", func() bool { return len(c.store(victim).node.Load().voters()) == 3 })
	for _, m := range c.store(c.leader()).Members() {
		if m.ID == old {
			t.Error("its old self is still a member")
		}
	}
}

// A member that was removed while it was away ends when it is back, as one that was there does; one that was merely away goes on.
func TestRemovedWhileAway(t *testing.T) {
	c := started(t, 3, nil)
	c.put(0, "k", "v")
	victim := c.others(c.leader())[0]
	id := c.store(victim).ID()
	c.kill(victim)
	if _, err := c.store(c.leader()).MemberRemove(t.Context(), &pb.MemberRemoveRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	c.open(victim)
	select {
	case why := <-c.store(victim).Failed():
		if !errors.Is(why, ErrRemoved) {
			t.Errorf("it ended with %v", why)
		}
	case <-time.After(90 * time.Second):
		t.Error("it goes on, without a leader")
	}
	for i := range 3 {
		if i != victim && c.store(i).Health() != nil {
			t.Errorf("member %d: %v", i, c.store(i).Health())
		}
	}
}

// Only the leader says who is listed: what a follower knows may be old.
func TestListed(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	ask := func(i int, id uint64) bool {
		t.Helper()
		var w writer
		w.u64(id)
		b, err := c.store(i).handleListed(t.Context(), c.store(i).node.Load(), w)
		if err != nil {
			t.Fatal(err)
		}
		r := reader{buf: b}
		return r.bool()
	}
	for i := range 3 {
		if !ask(lead, c.store(i).ID()) {
			t.Errorf("member %d is not listed", i)
		}
	}
	if ask(lead, 77) {
		t.Error("a stranger is listed")
	}
	follower := c.others(lead)[0]
	if _, err := c.store(follower).handleListed(t.Context(), c.store(follower).node.Load(), writer{77}); err == nil {
		t.Error("a follower answers for the leader")
	}
}

// A host that claims the address of a member that is alive does not push it out.
func TestJoinerWithAnotherOnesAddress(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader()
	victim := c.others(lead)[0]
	liar := Member{ID: 77, Name: "liar", PeerAddr: c.store(victim).PeerAddr()}
	body, err := c.store(lead).handleJoin(t.Context(), encodeJSON(joinRequest{Member: liar}))
	if !errors.Is(err, ErrPeerURLExists) {
		t.Errorf("the join was answered with %s, %v", body, err)
	}
	if list := c.store(lead).Members(); len(list) != 3 {
		t.Errorf("members: %v", list)
	}
}

func TestMoveLeader(t *testing.T) {
	c := started(t, 3, nil)
	old := c.leader()
	target := c.others(old)[1]
	if err := c.store(target).MoveLeader(t.Context(), c.store(target).ID()); !errors.Is(err, etcderrors.ErrNotLeader) {
		t.Errorf("asked of a follower: %v", err)
	}
	if err := c.store(old).MoveLeader(t.Context(), 12345); !errors.Is(err, etcderrors.ErrBadLeaderTransferee) {
		t.Errorf("to nobody: %v", err)
	}
	waitFor(t, "the move", func() bool {
		_ = c.store(c.leader()).MoveLeader(t.Context(), c.store(target).ID()) // whoever leads now, if it still does
		return c.store(target).IsLeader()
	})
	c.put(old, "k", "v")
}

func TestFolderOfAnotherHostIsRefused(t *testing.T) {
	c := started(t, 1, nil)
	c.kill(0)
	copied := c.members[0].opts
	copied.MachineID = "another"
	if _, err := Open(copied); !errors.Is(err, ErrForeignFolder) {
		t.Fatalf("opened on another machine: %v", err)
	}
	moved := c.members[0].opts
	moved.Listen = "127.0.0.1:0"
	if _, err := Open(moved); !errors.Is(err, ErrForeignFolder) {
		t.Fatalf("opened under another address: %v", err)
	}
	copied.AdoptFolder = true
	s, err := Open(copied)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(c.members[0].opts); !errors.Is(err, ErrForeignFolder) {
		t.Errorf("the original opened after the adoption: %v", err)
	}
}

func TestFolderWithoutItsLogIsRefused(t *testing.T) {
	c := started(t, 1, nil)
	c.kill(0)
	dir := c.members[0].opts.Dir
	log, id := filepath.Join(dir, logDir), filepath.Join(dir, identityFile)
	if err := os.Rename(log, log+".aside"); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.members[0].opts); !errors.Is(err, ErrDisk) {
		t.Errorf("opened without its votes: %v", err)
	}
	if err := errors.Join(os.Rename(log+".aside", log), os.Remove(id)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(c.members[0].opts); err == nil {
		t.Error("opened without its identity")
	}
}

func TestRecoverQuorumLost(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	c.put(0, "k", "v")
	c.settle()
	before := c.store(0).ClusterID()
	self := c.store(0).self()
	for i := range 3 {
		c.kill(i)
	}
	if err := RecoverQuorumLost(c.members[0].opts, []Member{{ID: 99, PeerAddr: "x:1"}}); err == nil {
		t.Error("recovered without naming itself")
	}
	if err := RecoverQuorumLost(c.members[0].opts, []Member{self}); err != nil {
		t.Fatal(err)
	}
	c.open(0)
	c.waitReady(0)
	if got := c.get(0, "k"); got != "v" {
		t.Errorf("read %q", got)
	}
	if now := c.store(0).Header().ClusterId; now == before || now == 0 {
		t.Errorf("cluster id %x, was %x", now, before)
	}
	// Those that were given up come back by mistake: one alone says where it is wrong; they may
	// have a leader of their own, and do not disturb this one.
	lines := make(chan string, 1000)
	c.members[1].opts.Logger = tellingLogger(c.members[1].opts.Logger, lines)
	c.open(1)
	for said := ""; !strings.Contains(said, "is a member of another one"); {
		select {
		case said = <-lines:
		case <-time.After(90 * time.Second):
			t.Fatal("it does not say that the others are in another cluster")
		}
	}
	c.open(2)
	c.waitReady(1, 2)
	c.put(0, "k", "survivor")
	c.put(1, "k", "ghost")
	if got := c.get(0, "k"); got != "survivor" {
		t.Errorf("read %q", got)
	}
}
