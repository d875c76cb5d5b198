package raftstore

import (
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

func TestMessagesToFollowersAreBounded(t *testing.T) {
	entries := func(sizes ...int) *raft.AppendEntriesRequest {
		r := &raft.AppendEntriesRequest{}
		for i, n := range sizes {
			r.Entries = append(r.Entries, &raft.Log{Index: uint64(i + 1), Data: make([]byte, n)})
		}
		return r
	}
	for _, c := range []struct {
		req  *raft.AppendEntriesRequest
		want int
	}{
		{entries(), 0},
		{entries(100, 100, 100), 3},
		{entries(2*maxAppendBytes, 1), 1}, // one goes in any case
		{entries(maxAppendBytes/2, maxAppendBytes/4, maxAppendBytes/2, 1), 2},
	} {
		if trim(c.req); len(c.req.Entries) != c.want {
			t.Errorf("%d entries are left, want %d", len(c.req.Entries), c.want)
		}
	}
}

// TestLargeEntriesReachFollowers has a follower catch up over messages that had to be cut.
func TestLargeEntriesReachFollowers(t *testing.T) {
	c := started(t, 3, nil)
	lead := c.leader(0, 1, 2)
	behind := c.others(lead)[0]
	c.kill(behind)
	value := strings.Repeat("v", 300<<10)
	for i := range 12 {
		c.put(lead, string(rune('a'+i)), value)
	}
	c.open(behind)
	c.waitReady(behind)
	if got := c.get(behind, "l"); got != value {
		t.Errorf("the follower has %d bytes, want %d", len(got), len(value))
	}
}
