package gameday

import (
	"context"
	"errors"
	"strings"
	"testing"

	"quorate/api/client"
)

func sound() client.Cluster {
	return client.Cluster{Members: []client.Member{
		{Name: "a", Role: "leader", State: "running", Timeline: 3},
		{Name: "b", Role: "replica", State: "streaming", Timeline: 3},
		{Name: "c", Role: "quorum_standby", State: "streaming", Timeline: 3},
	}}
}

// Each thing that keeps a cluster from being whole is named, and keeps the exercise from beginning.
func TestAilments(t *testing.T) {
	if all := Ailments(sound(), []string{"a", "b", "c"}); len(all) > 0 {
		t.Errorf("a sound cluster: %v", all)
	}
	if got := successor(sound()); got != "c" {
		t.Errorf("the successor is %s, not the one that commits wait for", got)
	}
	for name, c := range map[string]struct {
		change func(*client.Cluster)
		want   string
	}{
		"paused":      {func(c *client.Cluster) { c.Pause = true }, "paused"},
		"no leader":   {func(c *client.Cluster) { c.Members[0].Role = "replica" }, "no leader"},
		"standby":     {func(c *client.Cluster) { c.Members[0].Role = "standby_leader" }, "standby cluster"},
		"leader down": {func(c *client.Cluster) { c.Members[0].State = "crashed" }, "a leads and is crashed"},
		"archive":     {func(c *client.Cluster) { c.Members[1].State = "in archive recovery" }, "b does not stream"},
		"timeline":    {func(c *client.Cluster) { c.Members[2].Timeline = 2 }, "c is on timeline 2"},
		"lag":         {func(c *client.Cluster) { c.Members[1].Lag = client.Lag{Bytes: 64 << 20, Known: true} }, "b lags 64 MB"},
		"gone":        {func(c *client.Cluster) { c.Members = c.Members[:2] }, "c is not listed"},
		"switchover":  {func(c *client.Cluster) { c.ScheduledSwitchover = &client.ScheduledSwitchover{At: "x"} }, "switchover is scheduled"},
		"restart":     {func(c *client.Cluster) { c.Members[1].ScheduledRestart = &client.ScheduledRestart{} }, "restart of b is scheduled"},
		"nobody": {func(c *client.Cluster) {
			for i := range c.Members[1:] {
				c.Members[i+1].Tags = map[string]any{"nofailover": true}
			}
		}, "no replica could take over"},
	} {
		cluster := sound()
		c.change(&cluster)
		if got := strings.Join(Ailments(cluster, []string{"a", "b", "c"}), "; "); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

type still struct{ c client.Cluster }

func (s still) Look(context.Context) (client.Cluster, error)             { return s.c, nil }
func (s still) Primaries(context.Context, client.Cluster) []string       { panic("struck") }
func (s still) Switchover(context.Context, client.Cluster, string) error { panic("struck") }
func (s still) Restart(context.Context, client.Member) error             { panic("struck") }

func TestNothingIsDoneToAnIllCluster(t *testing.T) {
	c := sound()
	c.Members[1].State = "stopped"
	if _, err := Run(t.Context(), Options{Cluster: still{c}, Drills: Usual()}); !errors.Is(err, ErrUnfit) || !strings.Contains(err.Error(), "member b") {
		t.Errorf("%v", err)
	}
	for _, drill := range []string{"nonsense", "crash"} {
		if _, err := Run(t.Context(), Options{Cluster: still{sound()}, Drills: []string{drill}}); err == nil || !strings.Contains(err.Error(), drill) {
			t.Errorf("%s: %v", drill, err)
		}
	}
	if _, err := Run(t.Context(), Options{Cluster: still{sound()}, Host: Local{Member: "z"}, Drills: []string{"crash"}}); err == nil || !strings.Contains(err.Error(), "no member") {
		t.Errorf("a host of another cluster: %v", err)
	}
}
