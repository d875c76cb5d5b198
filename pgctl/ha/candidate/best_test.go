package candidate

import (
	"testing"

	"quorate/pgctl/ha/syncset"
)

func TestBest(t *testing.T) {
	key := syncset.Key{Leader: "a", Voters: []string{"b"}}
	cases := []struct {
		name      string
		change    func(*Choice)
		want, why string
	}{
		{"level: by name", func(*Choice) {}, "b", ""},
		{"by position", func(c *Choice) { c.Members[2].FlushLSN = 101 }, "c", ""},
		{"priority before position", func(c *Choice) { c.Members[1].Priority, c.Members[2].FlushLSN = 2, 101 }, "b", ""},
		{"named", func(c *Choice) { c.Named = "c" }, "c", ""},
		{"named, not there", func(c *Choice) { c.Named = "x" }, "", "candidate x does not exist"},
		{"named, the leader itself", func(c *Choice) { c.Named = "a" }, "", "candidate a does not exist"},
		{"alone", func(c *Choice) { c.Members = c.Members[:1] }, "", "the cluster does not have members except leader"},
		{"unreachable", func(c *Choice) { c.Members[1].Reachable = false }, "c", ""},
		{"nobody is fit", func(c *Choice) { c.Members[1].Running, c.Members[2].NoFailover = false, true }, "", "no good candidates have been found: b is not running; c is not allowed to promote"},
		{"priority 0, and nofailover: false", func(c *Choice) { c.Named, c.Members[1].Priority = "b", 0 }, "b", ""},
		{"a primary", func(c *Choice) { c.Named, c.Members[1].Primary = "b", true }, "", "no good candidates have been found: b is a primary itself"},
		{"another system", func(c *Choice) { c.Named, c.Members[1].SystemID = "b", "2" }, "", "no good candidates have been found: b has another system identifier"},
		{"watchdog", func(c *Choice) { c.Named, c.Members[1].WatchdogFailed = "b", true }, "", "no good candidates have been found: b has no usable watchdog"},
		{"timeline", func(c *Choice) { c.Named = "b"; older(&c.Members[1], 100) }, "", "no good candidates have been found: b is on timeline 1, the leader on 2"},
		{"lag", func(c *Choice) { c.Named, c.Leader.FlushLSN = "b", 111 }, "", "no good candidates have been found: b lags by 11 bytes"},
		{"lag at the limit", func(c *Choice) { c.Named, c.Leader.FlushLSN = "b", 110 }, "b", ""},
		{"synchronous", func(c *Choice) { c.Mode, c.KeyExists, c.Key, c.Members[2].Priority = syncset.On, true, key, 2 }, "b", ""},
		{"not synchronous", func(c *Choice) { c.Mode, c.KeyExists, c.Key, c.Named = syncset.On, true, key, "c" }, "", "no good candidates have been found: c is not synchronous"},
		{"not synchronous, a failover", func(c *Choice) {
			c.Mode, c.KeyExists, c.Key, c.Named, c.Failover = syncset.On, true, key, "c", true
		}, "c", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			leader := standby("a", 100)
			leader.Primary = true
			choice := Choice{Leader: leader, Members: []Member{leader, standby("b", 100), standby("c", 100)}, MaxLag: 10}
			c.change(&choice)
			if got, why := Best(choice); got != c.want || why != c.why {
				t.Errorf("got %q (%s), want %q (%s)", got, why, c.want, c.why)
			}
		})
	}
}
