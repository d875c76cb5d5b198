package raftstore

import (
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func TestThreeMembersFoundAndServe(t *testing.T) {
	began := time.Now()
	c := started(t, 3, nil)
	t.Logf("founded and serving after %s", time.Since(began))
	for i := range 3 {
		c.put(i, "k", string(rune('a'+i)))
		for j := range 3 {
			if got := c.get(j, "k"); got != string(rune('a'+i)) {
				t.Errorf("after a put on %d, member %d reads %q", i, j, got)
			}
		}
	}
	first := c.store(0).Header()
	for i := range 3 {
		h := c.store(i).Header()
		if h.ClusterId == 0 || h.ClusterId != first.ClusterId || h.MemberId == 0 || h.RaftTerm == 0 {
			t.Errorf("member %d: header %v", i, h)
		}
		if list := c.store(i).Members(); len(list) != 3 {
			t.Errorf("member %d lists %v", i, list)
		}
	}
}

// A write through a follower can be read there at once, serializably even.
func TestWriteThroughFollowerIsSeenThere(t *testing.T) {
	c := started(t, 3, nil)
	follower := c.others(c.leader())[0]
	for n := range 20 {
		resp := c.put(follower, "k", string(rune('a'+n)))
		got, err := c.store(follower).Range(t.Context(), &pb.RangeRequest{Key: []byte("k"), Serializable: true})
		if err != nil {
			t.Fatal(err)
		}
		if got.Kvs[0].ModRevision != resp.Header.Revision || resp.Header.MemberId != c.store(follower).ID() {
			t.Fatalf("wrote revision %d, read %v", resp.Header.Revision, got.Kvs)
		}
	}
}

func TestSurvivesTheLeader(t *testing.T) {
	t.Parallel()
	c := started(t, 3, nil)
	c.put(0, "k", "before")
	old := c.leader()
	term := c.store(old).Term()
	c.kill(old)
	now := c.leader()
	if got := c.get(now, "k"); got != "before" {
		t.Errorf("the new leader reads %q", got)
	}
	c.put(now, "k", "after")
	if c.store(now).Term() <= term {
		t.Errorf("term went from %d to %d", term, c.store(now).Term())
	}
	c.open(old)
	c.waitReady(old)
	if got := c.get(old, "k"); got != "after" {
		t.Errorf("the old leader reads %q after its return", got)
	}
}
