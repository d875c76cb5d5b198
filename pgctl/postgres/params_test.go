package postgres

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseVersion(t *testing.T) {
	for in, want := range map[string]Version{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 150018, "16.14": 160014, "18beta1": 180000, "17": 170000,
	} {
		if got, err := ParseVersion(in); err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "PostgreSQL", "0.1"} {
		if got, err := ParseVersion(bad); !errors.Is(err, ErrBadVersion) {
			t.Errorf("%q: %v, %v", bad, got, err)
		}
	}
	if Version(150018).String() != "15.18" {
		t.Error(Version(150018))
	}
	if n, err := ParseMajor("15\n"); n != 15 || err != nil {
		t.Error(n, err)
	}
	if n, err := ParseMajor("9.6\n"); !errors.Is(err, ErrBadVersion) {
		t.Error(n, err)
	}
}

func FuzzParseVersion(f *testing.F) {
	f.Add("postgres (PostgreSQL) 15.18")
	f.Fuzz(func(t *testing.T, s string) {
		if v, err := ParseVersion(s); err == nil && v.Major() < 1 {
			t.Fatalf("%q is version %d", s, v)
		}
	})
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		vartype, unit, a, b string
		want                bool
	}{
		{"integer", "8kB", "16384", "128MB", true},
		{"integer", "8kB", "16384", "0.125GB", true},
		{"integer", "ms", "5000", "5s", true},
		{"integer", "MB", "128MB", "128", true},
		{"integer", "", "100", "100", true},
		{"integer", "", "0x10", "16", true},
		{"integer", "ms", "5MB", "5", false},
		{"integer", "", "", "", false},
		{"integer", "", "inf", "inf", false},
		{"bool", "", "on", "true", true},
		{"bool", "", "of", "0", true},
		{"bool", "", "o", "o", false},
		{"enum", "", "Replica", "replica", true},
		{"string", "", "A", "a", false},
		{"real", "", "0.1", "0.10", true},
	} {
		if got := SameValue(c.vartype, c.unit, c.a, c.b); got != c.want {
			t.Errorf("%s in %q: %q and %q: %v", c.vartype, c.unit, c.a, c.b, got)
		}
	}
}

func FuzzUnits(f *testing.F) {
	f.Add("5min", "ms")
	f.Fuzz(func(t *testing.T, s, unit string) {
		if v, ok := ParseInUnit(s, unit); ok && v != v {
			t.Fatalf("%q in %q is not a number", s, unit)
		}
	})
}

func TestEffective(t *testing.T) {
	got, corrections := Effective(Params{
		"max_connections": "10", "max_wal_senders": "20", "wal_level": "hot_standby", "wal_log_hints": "true", "listen_addresses": "*",
		"wal_keep_segments": "8", "work_mem": "4MB", "restart_after_crash": "on", "hot_standby": "on", "wal_sender_timeout": "1min",
		"stats_temp_directory": "x", "Max_Worker_Processes": "x", "log_line_prefix": "%m ",
	}, 150018)
	for name, want := range map[string]string{
		"max_connections": "100", "max_wal_senders": "20", "wal_level": "replica", "wal_log_hints": "on", "wal_keep_size": "128MB",
		"work_mem": "4MB", "restart_after_crash": "off", "hot_standby": "on", "wal_sender_timeout": "1min", "wal_receiver_timeout": "5s",
		"max_worker_processes": "8", "recovery_target_timeline": "latest", "log_line_prefix": "%m ",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	for _, absent := range []string{"listen_addresses", "wal_keep_segments", "stats_temp_directory"} {
		if v, ok := got[absent]; ok {
			t.Errorf("%s = %q was to be left out", absent, v)
		}
	}
	var names []string
	for _, c := range corrections {
		names = append(names, c.Name)
		if c.Reason == "" || !strings.Contains(c.String(), c.Reason) {
			t.Errorf("%+v says no reason", c)
		}
	}
	if want := []string{"max_worker_processes", "listen_addresses", "max_connections", "restart_after_crash", "stats_temp_directory"}; !reflect.DeepEqual(names, want) {
		t.Errorf("corrected %v, want %v", names, want)
	}
}

func TestWALKeepByVersion(t *testing.T) {
	for _, c := range []struct {
		in       Params
		v        Version
		name, is string
	}{
		{Params{"wal_keep_segments": "8"}, 130000, "wal_keep_size", "128MB"},
		{Params{"wal_keep_segments": "8"}, 120000, "wal_keep_segments", "8"},
		{Params{"wal_keep_size": "1GB"}, 120000, "wal_keep_segments", "64"},
		{Params{"wal_keep_size": "1GB", "wal_keep_segments": "8"}, 130000, "wal_keep_size", "1GB"},
		{Params{"wal_keep_size": "1MB"}, 130000, "wal_keep_size", "128MB"}, // less than a segment: the default
		{nil, 120000, "max_slot_wal_keep_size", ""},
		{nil, 180000, "max_slot_wal_keep_size", "10GB"},
	} {
		if got, _ := Effective(c.in, c.v); got[c.name] != c.is {
			t.Errorf("%v on %s: %s = %q, want %q", c.in, c.v, c.name, got[c.name], c.is)
		}
	}
}

func TestKnownIn(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Version
		want bool
	}{
		{"io_method", 170005, false}, {"io_method", 180000, true}, {"vacuum_defer_cleanup_age", 150000, true}, {"vacuum_defer_cleanup_age", 160000, false},
		{"pg_stat_statements.max", 130000, true}, {"no_such_parameter", 0, true},
	} {
		if got := KnownIn(c.name, c.v); got != c.want {
			t.Errorf("%s in %s: %v", c.name, c.v, got)
		}
	}
	for name, s := range spans {
		if s.from != 0 && s.until != 0 || s.from == 0 && s.until == 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// Whatever is written, the result is one that needs no correction and that keeps the members able to replace one another.
func TestEffectiveIsAFixedPoint(t *testing.T) {
	names := append(append([]string{"work_mem", "io_method", "wal_keep_size", "wal_keep_segments"}, Clusterwide...), Reserved...)
	values := []string{"", "0", "1", "64", "100", "-1", "on", "off", "replica", "logical", "minimal", "1GB", "x", "1e99", "12.5"}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.MapOf(rapid.SampledFrom(names), rapid.SampledFrom(values)).Draw(t, "params")
		v := Version(rapid.IntRange(MinMajor, MaxMajor).Draw(t, "major") * 10000)
		once, _ := Effective(p, v)
		twice, again := Effective(once, v)
		if !reflect.DeepEqual(once, twice) {
			t.Fatalf("%v\nthen %v", once, twice)
		}
		for _, c := range again {
			if c.Is != c.Was {
				t.Fatalf("corrected again: %s", c)
			}
		}
		for _, name := range Clusterwide {
			if once[name] == "" {
				t.Fatalf("%s is not set", name)
			}
		}
	})
}

func TestStandbyMinimums(t *testing.T) {
	c := ControlData{MaxConnections: 200, MaxWorkerProcesses: 8, MaxWALSenders: 12, MaxLocksPerXact: 64}
	in := Params{"max_connections": "100", "max_worker_processes": "16", "max_wal_senders": "10", "max_locks_per_transaction": "64"}
	got, raised := StandbyMinimums(in, c)
	if got["max_connections"] != "200" || got["max_worker_processes"] != "16" || got["max_wal_senders"] != "12" || in["max_connections"] != "100" {
		t.Errorf("%v from %v", got, in)
	}
	if len(raised) != 2 || raised[0].Name != "max_connections" || raised[1].Name != "max_wal_senders" {
		t.Errorf("%v", raised)
	}
	if got, raised := StandbyMinimums(got, c); len(raised) != 0 || got["max_prepared_transactions"] != "" {
		t.Errorf("%v, %v", got, raised)
	}
}

func TestPendingRestart(t *testing.T) {
	rows := []SettingRow{
		{Name: "max_connections", Setting: "100", Current: "100", VarType: "integer"},
		{Name: "shared_buffers", Setting: "16384", Current: "128MB", Unit: "8kB", VarType: "integer", Pending: true},
		{Name: "wal_log_hints", Setting: "on", Current: "on", VarType: "bool"},
		{Name: "max_wal_senders", Setting: "10", Current: "10", VarType: "integer"},
	}
	wanted := Params{"max_connections": "200", "shared_buffers": "1GB", "wal_log_hints": "true", "max_wal_senders": "12"}
	got := PendingRestart(rows, wanted, []string{"max_connections", "wal_log_hints"})
	want := []Pending{{"max_connections", "100", "200"}, {"shared_buffers", "128MB", "1GB"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestToolOutput(t *testing.T) {
	if p, ok := ParseBackupProgress("  12345/67890 kB (18%), 0/1 tablespace"); !ok || p.Done != 12345<<10 || p.Total != 67890<<10 {
		t.Error(p, ok)
	}
	for _, bad := range []string{"", "pg_basebackup: error", "1 kB (", "a/b kB (1%)", "-1/2 kB (1%)"} {
		if p, ok := ParseBackupProgress(bad); ok {
			t.Error(bad, p)
		}
	}
	r, err := ParseWALRecord("rmgr: Transaction len (rec/tot):    421/   450, tx:        735, lsn: 0/01758C98, prev 0/01758C58, desc: COMMIT 2026-11-23 06:29:53 UTC; inval msgs: catcache 55")
	want := WALRecord{Manager: "Transaction", Length: 450, XID: 735, LSN: 0x1758C98, Prev: 0x1758C58, Desc: "COMMIT 2026-11-23 06:29:53 UTC; inval msgs: catcache 55"}
	if err != nil || r != want || !r.IsCommit() {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", "rmgr: XLOG", "rmgr: XLOG len (rec/tot): x/y, tx: 0, lsn: 0/1, prev 0/0, desc: X", "pg_waldump: fatal: x, desc: y"} {
		if r, err := ParseWALRecord(bad); !errors.Is(err, ErrBadWALDump) {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
	for in, want := range map[string]string{
		`LOG:  unrecognized configuration parameter "foo" in file "/d/postgresql.conf" line 817`: "foo",
		`FATAL:  invalid value for parameter "wal_level": "foo"`:                                 "wal_level",
		`LOG:  -5 8kB is outside the valid range for parameter "wal_buffers" (-1 .. 262143)`:     "wal_buffers",
		`LOG:  parameter "work_mem" requires a numeric value`:                                    "work_mem",
		`FATAL:  configuration file "/d/postgresql.conf" contains errors`:                        "",
		`FATAL:  could not access file "x": No such file or directory`:                           "",
	} {
		if got := ConfigErrorParam(in); got != want {
			t.Errorf("%q names %q, want %q", in, got, want)
		}
	}
}

func FuzzParseWALRecord(f *testing.F) {
	f.Add("rmgr: XLOG len (rec/tot): 114/ 114, tx: 0, lsn: 0/0152F188, prev 0/0152F150, desc: CHECKPOINT_SHUTDOWN")
	f.Fuzz(func(t *testing.T, s string) {
		if r, err := ParseWALRecord(s); err == nil && r.IsCommit() && r.Manager != "Transaction" {
			t.Fatalf("%q: %+v", s, r)
		}
	})
}
