package rest

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/internal/boottime"
)

func TestHealthTable(t *testing.T) {
	standbyLeader := func(s *NodeStatus) { s.View.StandbyCluster, s.Postgres.Role = true, RoleStandbyLeader }
	stale := func(s *NodeStatus) { s.View.SeenAt = moment - 3*second }
	cases := []struct {
		name   string
		status *NodeStatus
		change func(*NodeStatus)
		ok     string // paths that answer 200
		no     string // paths that answer 503
	}{
		{"primary", primaryStatus(), nil,
			"/ /primary /master /leader /read-write /read-only /health /read-only-sync /read-only-quorum /foo/primary /primary/x /healthz",
			"/replica /standby-leader /standby_leader /sync /async /quorum /nothing /liveness /metrics /sync/"},
		{"primary whose lease ran out", primaryStatus(), func(s *NodeStatus) { s.Lease.ValidUntil = moment },
			"/health", "/ /primary /leader /read-only /replica /read-only-sync"},
		{"primary that lost its lease", primaryStatus(), func(s *NodeStatus) { s.Lease.Held = false },
			"/health", "/ /primary /leader /read-only"},
		{"primary, PostgreSQL hangs", primaryStatus(), func(s *NodeStatus) { s.Postgres.Answering = false },
			"/ /primary /leader", "/health /replica"},
		{"primary, view too old", primaryStatus(), stale, "/primary /leader /read-only", "/read-only-sync /sync /async"},
		{"standby", replicaStatus(), nil, "/replica /read-only /health /async /asynchronous",
			"/ /primary /leader /standby-leader /sync /synchronous /quorum /read-only-sync /read-only-quorum"},
		{"standby noloadbalance", replicaStatus(), func(s *NodeStatus) { s.Tags = map[string]any{"noloadbalance": true} },
			"/health", "/replica /read-only /async"},
		{"standby starting", replicaStatus(), func(s *NodeStatus) { s.Postgres.State = StateStarting }, "", "/replica /read-only /health /async"},
		{"standby hangs", replicaStatus(), func(s *NodeStatus) { s.Postgres.Answering = false }, "", "/replica /read-only /health"},
		{"standby, view too old", replicaStatus(), stale, "/replica /read-only", "/async /sync"},
		{"sync standby", replicaStatus(), func(s *NodeStatus) { s.Sync = SyncOn },
			"/sync /synchronous /read-only-sync /read-only-synchronous /replica", "/async /quorum /read-only-quorum"},
		{"quorum standby", replicaStatus(), func(s *NodeStatus) { s.Sync = SyncQuorum },
			"/quorum /read-only-quorum /replica", "/async /sync /read-only-sync"},
		{"standby leader", primaryStatus(), standbyLeader, "/leader /standby-leader /standby_leader /read-only /health", "/ /primary /replica /read-write"},
		{"leader of a standby cluster still a replica", primaryStatus(), func(s *NodeStatus) { standbyLeader(s); s.Postgres.Role = RoleReplica },
			"/standby-leader /leader /read-only-sync", "/replica /primary /async"},
		{"paused, blind primary", primaryStatus(), func(s *NodeStatus) { stale(s); s.View.Paused = true; s.Lease.Held = false },
			"/ /primary /leader /read-only", "/replica /standby-leader /read-only-sync"},
		{"paused, blind standby leader", primaryStatus(), func(s *NodeStatus) { standbyLeader(s); stale(s); s.View.Paused = true; s.Lease.Held = false },
			"/leader /standby-leader /read-only", "/primary /replica"},
		{"paused, no lease", primaryStatus(), func(s *NodeStatus) { s.View.Paused = true; s.Lease.Held = false }, "/health", "/ /primary /leader"},
	}
	for _, c := range cases {
		if c.change != nil {
			c.change(c.status)
		}
		for want, paths := range map[int]string{200: c.ok, 503: c.no} {
			for _, path := range strings.Fields(paths) {
				if got := Health(HealthInput{Status: c.status, Path: path, Now: moment}); got != want {
					t.Errorf("%s: %s gives %d, want %d", c.name, path, got, want)
				}
			}
		}
	}
}

func TestHealthQuery(t *testing.T) {
	s := replicaStatus() // 100 bytes behind the leader
	s.Tags = map[string]any{"zone": "a", "big": true, "n": int64(5), "Mixed": "Case"}
	cases := []struct {
		path, query string
		want        int
	}{
		{"/replica", "lag=100", 200}, {"/replica", "lag=99", 503}, {"/replica", "lag=1kB", 200}, {"/replica", "lag=nonsense", 200},
		{"/replica", "lag=", 200}, {"/replica", "lag=0", 503}, {"/replica", "lag=-1", 503}, {"/replica", "lag=0x64", 200},
		{"/async", "lag=99", 503}, {"/read-only", "lag=99", 503}, {"/health", "lag=1", 200},
		{"/replica", "replication_state=streaming", 200}, {"/replica", "replication_state=in archive recovery", 503},
		{"/replica", "tag_zone=a", 200}, {"/replica", "tag_zone=b", 503}, {"/replica", "tag_none=a", 503}, {"/replica", "tag_none=", 200},
		{"/replica", "tag_big=true", 200}, {"/replica", "tag_big=True", 503}, {"/replica", "tag_n=5", 200}, {"/replica", "tag_Mixed=case", 503},
		{"/replica", "tag_zone=a&tag_big=false", 503}, {"/health", "tag_zone=b", 503}, {"/replica", "lag=&lag=99", 503},
	}
	for _, c := range cases {
		if got := Health(HealthInput{s, c.path, parseQuery(c.query), moment}); got != c.want {
			t.Errorf("%s?%s gives %d, want %d", c.path, c.query, got, c.want)
		}
	}
	p := primaryStatus()
	for _, path := range []string{"/primary", "/leader", "/"} {
		if got := Health(HealthInput{p, path, parseQuery("tag_zone=b&lag=0"), moment}); got != 200 {
			t.Errorf("%s on the primary looks at tags or lag", path)
		}
	}
	s.Postgres.LatestEnd = 2000
	if Health(HealthInput{s, "/replica", parseQuery("lag=500"), moment}) != 503 {
		t.Error("the position told by the WAL receiver is not looked at")
	}
}

func parseQuery(q string) map[string][]string {
	out := map[string][]string{}
	for part := range strings.SplitSeq(q, "&") {
		if k, v, ok := strings.Cut(part, "="); ok {
			out[k] = append(out[k], v)
		}
	}
	return out
}

func TestReadiness(t *testing.T) {
	cases := []struct {
		name   string
		change func(*NodeStatus)
		query  string
		want   int
	}{
		{"caught up", nil, "", 200},
		{"leader", func(s *NodeStatus) { *s = *primaryStatus() }, "", 200},
		{"leader that hangs", func(s *NodeStatus) { *s = *primaryStatus(); s.Postgres.Answering = false }, "", 200},
		{"stopped", func(s *NodeStatus) { s.Postgres.State = StateStopped }, "", 503},
		{"archive", func(s *NodeStatus) { s.Postgres.ReplicationState = "in archive recovery" }, "", 503},
		{"default limit", func(s *NodeStatus) { s.View.MaxLag = 99 }, "", 503},
		{"own limit", func(s *NodeStatus) { s.View.MaxLag = 99 }, "lag=100", 200},
		{"write mode", nil, "mode=write&lag=0", 200},
		{"apply mode", nil, "mode=apply&lag=0", 503},
		{"blind", func(s *NodeStatus) { s.View.SeenAt = 0 }, "", 503},
		{"blind with failsafe", func(s *NodeStatus) { s.View.SeenAt = 0; s.Failsafe.Active = true }, "", 200},
		{"blind with an upstream", func(s *NodeStatus) { s.View.SeenAt = 0; s.Postgres.LatestEnd = 950 }, "lag=50", 200},
		{"blind and behind", func(s *NodeStatus) { s.View.SeenAt = 0; s.Postgres.LatestEnd = 951 }, "lag=50", 503},
	}
	for _, c := range cases {
		s := replicaStatus()
		if c.change != nil {
			c.change(s)
		}
		if got := Readiness(HealthInput{s, "/readiness", parseQuery(c.query), moment}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLiveness(t *testing.T) {
	cases := []struct {
		name   string
		status *NodeStatus
		late   time.Duration // since the next decision was due
		paused bool
		want   int
	}{
		{"primary in time", primaryStatus(), 2999 * time.Millisecond, false, 200},
		{"primary late", primaryStatus(), 3 * time.Second, false, 503},
		{"primary late in pause", primaryStatus(), time.Hour, true, 200},
		{"standby", replicaStatus(), 5999 * time.Millisecond, false, 200},
		{"standby late", replicaStatus(), 6 * time.Second, false, 503},
	}
	for _, c := range cases {
		c.status.View.Paused = c.paused
		c.status.Loop.Next = moment.Add(-c.late)
		if got := Liveness(HealthInput{Status: c.status, Now: moment}); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestHealthTwin compares the rules with a second, naive implementation on the whole product of paths, roles, states, leases,
// views and queries.
func TestHealthTwin(t *testing.T) {
	paths := []string{"/", "/primary", "/master", "/read-write", "/leader", "/standby-leader", "/standby_leader", "/replica", "/read-only",
		"/health", "/sync", "/synchronous", "/quorum", "/async", "/asynchronous", "/read-only-quorum", "/read-only-sync",
		"/read-only-synchronous", "/liveness", "/x", "", "*", "//", "/replica-leader", "/read-only/sync", "/sync/replica"}
	queries := []string{"", "lag=50", "lag=100", "replication_state=streaming", "tag_zone=a", "tag_zone=b&lag=1MB"}
	n, yes := 0, 0
	for _, s := range statuses() {
		for _, path := range paths {
			for _, q := range queries {
				in := HealthInput{s, path, parseQuery(q), moment}
				got, want := Health(in), twinHealth(in)
				if got != want {
					t.Fatalf("%s?%s gives %d, the twin %d: %+v", path, q, got, want, *s)
				}
				n++
				if got == 200 {
					yes++
				}
			}
		}
	}
	if n < 100_000 || yes < n/100 {
		t.Fatalf("%d cases with %d times 200 prove little", n, yes)
	}
}

// statuses are all that differ in what the rules read.
func statuses() []*NodeStatus {
	var out []*NodeStatus
	for _, role := range []Role{RolePrimary, RoleReplica, RoleStandbyLeader, RolePromoted} {
		for _, state := range []State{StateRunning, StateStarting} {
			for bits := range 1 << 7 {
				for _, sync := range []SyncRole{SyncNone, SyncOn, SyncQuorum} {
					s := replicaStatus()
					bit := func(i int) bool { return bits&(1<<i) != 0 }
					s.Postgres.Role, s.Postgres.State, s.Sync = role, state, sync
					s.Postgres.Answering = bit(0)
					s.Lease.Held = bit(1)
					s.Lease.ValidUntil = moment + 1
					if bit(2) {
						s.Lease.ValidUntil = moment
					}
					if bit(3) {
						s.View.SeenAt = moment - 3*second
					}
					s.View.Paused, s.View.StandbyCluster = bit(4), bit(5)
					s.Tags = map[string]any{"zone": "a"}
					if bit(6) {
						s.Tags["noloadbalance"] = true
					}
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// twinHealth is written along Patroni's do_GET, line by line, with no thought for shape.
func twinHealth(in HealthInput) int {
	s, path := in.Status, in.Path
	cluster := s.View.SeenAt != 0 && s.View.SeenAt+boottime.Instant(s.View.TTL) > in.Now
	state := string(s.Postgres.State)
	if state == "running" && !s.Postgres.Answering {
		state = "unknown"
	}
	optime := uint64(0)
	if cluster {
		optime = s.View.Optime
	}
	optime = max(optime, s.Postgres.LatestEnd)
	lag := uint64(math.MaxInt64)
	if v := in.Query["lag"]; len(v) > 0 {
		lag = map[string]uint64{"50": 50, "100": 100, "1MB": 1 << 20}[v[0]]
	}
	lagging := optime > 0 && optime > s.Postgres.Replayed+lag
	replica, leader, primary, standby := 503, 503, 503, 503
	if v := in.Query["replication_state"]; !lagging && s.Tags["noloadbalance"] == nil && s.Postgres.Role == "replica" && state == "running" &&
		(len(v) == 0 || v[0] == s.Postgres.ReplicationState) {
		replica = 200
	}
	if !cluster && s.View.Paused {
		if s.Postgres.Role == "primary" {
			leader, primary = 200, 200
		}
		if s.Postgres.Role == "standby_leader" {
			leader, standby = 200, 200
		}
	} else if s.Lease.Held && s.Lease.ValidUntil > in.Now {
		leader = 200
		if s.View.StandbyCluster {
			replica = 503
			if s.Postgres.Role == "replica" || s.Postgres.Role == "standby_leader" {
				standby = 200
			}
		} else {
			primary = 200
		}
	}
	if path == "/" {
		path = "/primary"
	}
	status, ignoreTags := 503, false
	in2 := func(x string) bool { return strings.Contains(path, x) }
	readOnly := replica
	if primary == 200 || standby == 200 {
		readOnly = 200
	}
	if in2("standby_leader") || in2("standby-leader") {
		status, ignoreTags = standby, true
	} else if in2("leader") {
		status, ignoreTags = leader, true
	} else if in2("master") || in2("primary") || in2("read-write") {
		status, ignoreTags = primary, true
	} else if in2("replica") {
		status = replica
	} else if in2("read-only") && !in2("sync") && !in2("quorum") {
		status = readOnly
	} else if in2("health") {
		if state == "running" {
			status = 200
		}
	} else if cluster {
		quorum, sync := s.Sync == SyncQuorum, s.Sync == SyncOn
		if (path == "/sync" || path == "/synchronous") && sync {
			status = replica
		} else if path == "/quorum" && quorum {
			status = replica
		} else if (path == "/async" || path == "/asynchronous") && !sync && !quorum {
			status = replica
		} else if path == "/read-only-quorum" && (quorum || primary == 200 || standby == 200) {
			status = readOnly
		} else if (path == "/read-only-sync" || path == "/read-only-synchronous") && (sync || primary == 200 || standby == 200) {
			status = readOnly
		}
	}
	if v := in.Query["tag_zone"]; !ignoreTags && status == 200 && len(v) > 0 && v[0] != "a" {
		status = 503
	}
	return status
}

func TestParseSize(t *testing.T) {
	cases := map[string]int64{
		"0": 0, "5": 5, " 16MB ": 16 << 20, "1.5kB": 1536, "0x400 MB": 1 << 30, "010": 8, "-1": -1, "+7 B": 7, "1e3": 1000, ".5MB": 1 << 19,
		"99999999999999999999TB": math.MaxInt64, "-99999999999999999999TB": math.MinInt64, "1.0004TB": 1 << 40, "4097.5kB": 4195840,
		"2.5": 2, "3.5": 4, "1 GB": 1 << 30,
	}
	for text, want := range cases {
		if got, ok := ParseSize(text); !ok || got != want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "MB", "5mb", "5 XB", "abc", "08", "1,5", "--1", "0xg", "5 M B", "e5"} {
		if got, ok := ParseSize(text); ok {
			t.Errorf("ParseSize(%q) = %d, should not be read", text, got)
		}
	}
}

func FuzzHealth(f *testing.F) {
	f.Add("/replica", "lag=16MB&tag_a=b", uint64(1))
	f.Add("/read-only-sync", "replication_state=streaming", uint64(77))
	all := statuses()
	f.Fuzz(func(t *testing.T, path, query string, seed uint64) {
		s := all[rand.New(rand.NewPCG(seed, 0)).IntN(len(all))]
		in := HealthInput{s, path, parseQuery(query), moment}
		for _, code := range []int{Health(in), Readiness(in), Liveness(in)} {
			if !slices.Contains([]int{200, 503}, code) {
				t.Fatalf("code %d", code)
			}
		}
		if Health(in) == 200 && !in.leads() && s.Postgres.Role != RoleReplica && !strings.Contains(path, "health") && !in.blind() {
			t.Fatalf("%q?%q answers 200 on a node that neither leads nor replicates", path, query)
		}
	})
}
