package dynamic_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.yaml.in/yaml/v3"

	"quorate/internal/config/dynamic"
)

// TestScripts runs testdata: the input is YAML, the command says what is done with it.
//
//	parse [store=etcd] [election=MS]   the typed view as JSON (only what differs from the defaults) and the corrections
//	merge                              two documents: the shared configuration and a member's section postgresql
//	patch                              two documents: the configuration and the change
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			docs := documents(t, d)
			switch d.Cmd {
			case "parse":
				p := profile(t, d)
				return differences(t, docs[0], p)
			case "merge":
				merged, fixes := dynamic.Merge(docs[0], docs[1])
				return encoded(t, merged) + corrections(fixes)
			case "patch":
				out, changed := dynamic.Patch(docs[0], docs[1])
				return fmt.Sprintf("%schanged: %v\n", encoded(t, out), changed)
			}
			t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
			return ""
		})
	})
}

func profile(t *testing.T, d *datadriven.TestData) dynamic.Profile {
	store, election := "own", 500
	if d.HasArg("store") {
		d.ScanArgs(t, "store", &store)
	}
	if d.HasArg("election") {
		d.ScanArgs(t, "election", &election)
	}
	if store == "etcd" {
		return dynamic.EtcdProfile()
	}
	return dynamic.OwnProfile(time.Duration(election) * time.Millisecond)
}

func documents(t *testing.T, d *datadriven.TestData) []map[string]any {
	var docs []map[string]any
	for _, text := range strings.Split(d.Input, "--\n") {
		m := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%s: %v", d.Pos, err)
		}
		docs = append(docs, m)
	}
	return docs
}

// differences is what makes the parsed configuration differ from an empty one, as a merge patch, and the corrections.
func differences(t *testing.T, raw map[string]any, p dynamic.Profile) string {
	empty, none := dynamic.Parse(nil, p)
	if len(none) > 0 {
		t.Errorf("an empty configuration is corrected: %v", none)
	}
	c, fixes := dynamic.Parse(raw, p)
	a, b := asMap(t, empty), asMap(t, c)
	var out strings.Builder
	diff(&out, "", a, b)
	return out.String() + corrections(fixes)
}

func diff(out *strings.Builder, path string, a, b map[string]any) {
	keys := map[string]any{}
	for k := range a {
		keys[k] = nil
	}
	for k := range b {
		keys[k] = nil
	}
	for _, k := range dynamic.SortedKeys(keys) {
		x, okX := a[k].(map[string]any)
		y, okY := b[k].(map[string]any)
		if okX && okY {
			diff(out, path+k+".", x, y)
			continue
		}
		was, _ := json.Marshal(a[k])
		is, _ := json.Marshal(b[k])
		if string(was) != string(is) {
			fmt.Fprintf(out, "%s%s = %s\n", path, k, is)
		}
	}
}

func asMap(t *testing.T, v any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func encoded(t *testing.T, m map[string]any) string {
	b, err := dynamic.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

func corrections(fixes []dynamic.Correction) string {
	var out strings.Builder
	for _, f := range fixes {
		fmt.Fprintln(&out, "!", f)
	}
	return out.String()
}

func TestDefaults(t *testing.T) {
	own, _ := dynamic.Parse(nil, dynamic.OwnProfile(500*time.Millisecond))
	etcd, _ := dynamic.Parse(nil, dynamic.EtcdProfile())
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"own ttl", own.TTL, 3 * time.Second},
		{"own loop_wait", own.LoopWait, time.Second},
		{"own retry_timeout", own.RetryTimeout, time.Second},
		{"etcd ttl", etcd.TTL, 30 * time.Second},
		{"etcd loop_wait", etcd.LoopWait, 10 * time.Second},
		{"etcd retry_timeout", etcd.RetryTimeout, 10 * time.Second},
		{"maximum_lag_on_failover", etcd.MaximumLagOnFailover, int64(1048576)},
		{"maximum_lag_on_syncnode", etcd.MaximumLagOnSyncnode, int64(-1)},
		{"max_timelines_history", etcd.MaxTimelinesHistory, 0},
		{"primary_start_timeout", etcd.PrimaryStartTimeout, 300 * time.Second},
		{"primary_stop_timeout", etcd.PrimaryStopTimeout, time.Duration(0)},
		{"synchronous_mode", etcd.SynchronousMode, dynamic.SyncOff},
		{"synchronous_node_count", etcd.SynchronousNodeCount, 1},
		{"failsafe_mode", etcd.FailsafeMode, false},
		{"check_timeline", etcd.CheckTimeline, true},
		{"pause", etcd.Pause, false},
		{"member_slots_ttl", etcd.MemberSlotsTTL, 30 * time.Minute},
		{"use_pg_rewind", etcd.PostgreSQL.UsePgRewind, true},
		{"use_slots", etcd.PostgreSQL.UseSlots, true},
		{"pg_ctl_timeout", etcd.PostgreSQL.PgCtlTimeout, time.Minute},
		{"standby_cluster", etcd.StandbyCluster == nil, true},
	} {
		if c.got != c.want {
			t.Errorf("%s = %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestForRole(t *testing.T) {
	raw := map[string]any{"postgresql": map[string]any{
		"parameters":         map[string]any{"work_mem": "4MB", "jit": true},
		"parameters_replica": map[string]any{"work_mem": "64MB"},
		"pg_hba":             []any{"local all all peer"},
		"pg_hba_primary":     []any{"host all all all scram-sha-256"},
	}}
	c, fixes := dynamic.Parse(raw, dynamic.EtcdProfile())
	if len(fixes) > 0 {
		t.Fatal(fixes)
	}
	replica, primary := c.PostgreSQL.For(dynamic.RoleReplica), c.PostgreSQL.For(dynamic.RolePrimary)
	if replica.Parameters["work_mem"] != "64MB" || replica.Parameters["jit"] != "on" || replica.PgHBA[0] != "local all all peer" {
		t.Errorf("replica: %+v", replica)
	}
	if primary.Parameters["work_mem"] != "4MB" || primary.PgHBA[0] != "host all all all scram-sha-256" {
		t.Errorf("primary: %+v", primary)
	}
	if c.PostgreSQL.Parameters["work_mem"] != "4MB" {
		t.Error("the general parameters were changed")
	}
}

// FuzzParse holds that every JSON object gives a configuration whose times fit together, that decoding and encoding lose nothing,
// and that a patch of a configuration by itself changes nothing.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"ttl":30,"loop_wait":10,"retry_timeout":10}`, `{"ttl":"5min","loop_wait":-1}`, `{"slots":{"a":null,"B":{}}}`,
		`{"postgresql":{"parameters":{"a":[1]},"rewind":[{"a":1},"b"]}}`, `{"postgresql":[],"standby_cluster":{"host":"x"}}`,
		`{"ttl":1e400}`, `{"ignore_slots":[{},{"type":"logical"}],"synchronous_mode":"quorum"}`, `{"a":{"b":null}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		raw, err := dynamic.Decode(document)
		if err != nil {
			return
		}
		for _, p := range []dynamic.Profile{dynamic.EtcdProfile(), dynamic.OwnProfile(500 * time.Millisecond)} {
			c, _ := dynamic.Parse(raw, p)
			if c.TTL < p.MinTTL || c.LoopWait < p.MinLoopWait || c.RetryTimeout <= 0 || c.LoopWait+2*c.RetryTimeout > c.TTL {
				t.Fatalf("times do not fit: ttl %v, loop_wait %v, retry_timeout %v", c.TTL, c.LoopWait, c.RetryTimeout)
			}
		}
		first, err := dynamic.Encode(raw)
		if err != nil {
			t.Fatal(err)
		}
		again, err := dynamic.Decode(first)
		if err != nil {
			t.Fatal(err)
		}
		second, err := dynamic.Encode(again)
		if err != nil || string(first) != string(second) {
			t.Fatalf("round trip: %s, then %s (%v)", first, second, err)
		}
		clean, _ := dynamic.Patch(nil, raw)
		clean, _ = dynamic.Patch(clean, clean) // the nulls that it came with delete their keys now
		if out, changed := dynamic.Patch(clean, clean); changed {
			t.Fatalf("patched by itself: %v", out)
		}
		merged, _ := dynamic.Merge(raw, raw)
		dynamic.Parse(merged, dynamic.EtcdProfile())
	})
}
