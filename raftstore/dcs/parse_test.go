package dcs_test

import (
	"strings"
	"testing"

	"quorate/raftstore/dcs"
)

const base = "/service/demo/"

func kv(name, value string) dcs.KV {
	return dcs.KV{Key: base + name, Value: []byte(value), ModRevision: 7, CreateRevision: 5}
}

// sound are the keys of a cluster that works.
func sound() []dcs.KV {
	return []dcs.KV{
		kv("leader", "a"), kv("initialize", "7712571075835337300"), kv("config", `{"ttl":3}`), kv("status", `{"optime":100}`),
		kv("history", `[[1,50,"no recovery target specified","2026-11-26T19:55:24.777197+00:00","a"]]`), kv("failover", "{}"),
		kv("sync", `{"leader":"a","quorum":0,"sync_standby":"b,c"}`), kv("failsafe", `{"a":"http://a"}`), kv("quorate/roster", `{"a":"http://a"}`),
		kv("members/a", `{"conn_url":"postgres://a","role":"master","state":"running","version":"3.0.2","unknown":{"x":1}}`), kv("members/b", "{}"),
	}
}

func TestSoundKeys(t *testing.T) {
	c := dcs.Parse(dcs.NewKeys("/service", "demo"), 1, 10, sound())
	a, ok := c.Member("a")
	if len(c.Problems) > 0 || c.LeaderName() != "a" || !ok || a.Role != "primary" || len(c.Sync.Standbys) != 2 || c.LastTimeline() != 2 {
		t.Errorf("%+v", c)
	}
}

// One key that cannot be read is named, and takes nothing else along: least of all the leader.
func TestMalformedKeys(t *testing.T) {
	for i, key := range sound() {
		name := strings.TrimPrefix(key.Key, base)
		if name == "leader" || name == "initialize" {
			continue // plain text: everything is a name
		}
		for _, text := range []string{`{"half`, `5`, `"text"`, `[1,[2]]`, "\x00\xff", `{"optime":"x","leader":5,"half":1,"a":7,"conn_url":[]}`} {
			if name == "config" && strings.HasPrefix(text, `{"optime`) {
				continue // an object of settings that the configuration's own parser names
			}
			keys := sound()
			keys[i].Value = []byte(text)
			c := dcs.Parse(dcs.NewKeys("/service", "demo"), 1, 10, keys)
			if len(c.Problems) != 1 || !strings.HasPrefix(c.Problems[0], key.Key+": ") {
				t.Errorf("%s = %q: problems %q", name, text, c.Problems)
			}
			if c.LeaderName() != "a" || len(c.Members) != 2 {
				t.Errorf("%s = %q: leader %q, %d members", name, text, c.LeaderName(), len(c.Members))
			}
			if name == "config" && (c.Config != nil || c.ConfigRev != 7) {
				t.Errorf("config = %q counts as %s at %d: it must be neither used nor overwritten", text, c.Config, c.ConfigRev)
			}
		}
	}
}

func TestFailoverForms(t *testing.T) {
	for text, want := range map[string]dcs.Failover{
		"": {Mod: 7}, "{}": {Mod: 7}, "a:b": {Leader: "a", Candidate: "b", Mod: 7}, ":b": {Candidate: "b", Mod: 7},
		`{"leader":"a","member":"b","scheduled_at":"2030-01-01T00:00:00+00:00"}`: {Leader: "a", Candidate: "b", ScheduledAt: "2030-01-01T00:00:00+00:00", Mod: 7},
	} {
		c := dcs.Parse(dcs.NewKeys("service", "demo"), 1, 10, []dcs.KV{kv("failover", text)})
		if c.Failover != want || len(c.Problems) > 0 {
			t.Errorf("%q: %+v, %q", text, c.Failover, c.Problems)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("members/a", `{"tags":{"a":1},"xlog_location":1}`)
	f.Add("history", `[[1,2],[3]]`)
	f.Add("sync", `{"sync_standby":","}`)
	f.Fuzz(func(t *testing.T, name, value string) {
		c := dcs.Parse(dcs.NewKeys("/service", "demo"), 1, 10, append(sound(), kv(name, value)))
		if name != "leader" && c.LeaderName() != "a" {
			t.Errorf("%s = %q lost the leader", name, value)
		}
	})
}
