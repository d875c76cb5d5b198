package postgres

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestParseControlData(t *testing.T) {
	out, err := os.ReadFile("testdata/controldata15.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseControlData(string(out))
	if err != nil {
		t.Fatal(err)
	}
	want := ControlData{
		SystemID: "7711250393742841786", State: StateInProduction, Checkpoint: 0x17414F8, Redo: 0x17414F8, Timeline: 1, PrevTimeline: 1,
		Checksums: true, WALLevel: "replica", WALSegmentSize: 16 << 20,
		MaxConnections: 100, MaxWorkerProcesses: 8, MaxWALSenders: 10, MaxLocksPerXact: 64,
	}
	if got != want {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	for _, drop := range []string{"Database system identifier", "max_connections setting", "Latest checkpoint location"} {
		if _, err := ParseControlData(strings.Replace(string(out), drop, "something else", 1)); !errors.Is(err, ErrBadControlData) || !strings.Contains(err.Error(), drop) {
			t.Errorf("without %q: %v", drop, err)
		}
	}
}

func FuzzParseControlData(f *testing.F) {
	out, err := os.ReadFile("testdata/controldata15.txt")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(out))
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseControlData(s); err == nil && (c.SystemID == "" || c.State == "") {
			t.Fatalf("accepted without an identity: %+v", c)
		}
	})
}

func TestClusterStates(t *testing.T) {
	for s, want := range map[ClusterState][2]bool{ // clean, was primary
		StateShutDown: {true, true}, StateShutDownStandby: {true, false}, StateInProduction: {false, true},
		StateArchiveRecovery: {false, false}, StateCrashRecovery: {false, true}, StateShuttingDown: {false, true}, StateStartingUp: {false, false},
	} {
		if got := [2]bool{s.Clean(), s.WasPrimary()}; got != want {
			t.Errorf("%s: %v, want %v", s, got, want)
		}
	}
}

const pidFile15 = "26562\n/tmp/pgx/d\n1795415393\n6999\n/tmp/pgx\nlocalhost\n  9978437         4\nready   \n"

func TestParsePIDFile(t *testing.T) {
	want := PIDFile{PID: 26562, DataDir: "/tmp/pgx/d", StartTime: 1795415393, Port: 6999, SocketDir: "/tmp/pgx", Listen: "localhost", Status: "ready"}
	if got, err := ParsePIDFile(pidFile15); err != nil || got != want || !got.Ready() {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := ParsePIDFile("17\n/d\n5\n"); err != nil || got.PID != 17 || got.Ready() {
		t.Errorf("a start that has only begun: %+v, %v", got, err)
	}
	if got, err := ParsePIDFile("-17\n/d\n"); err != nil || got.PID != -17 {
		t.Errorf("single user: %+v, %v", got, err)
	}
	for _, bad := range []string{"", "x\n", "0\n", "\n26562"} {
		if got, err := ParsePIDFile(bad); !errors.Is(err, ErrBadPIDFile) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func FuzzParsePIDFile(f *testing.F) {
	f.Add(pidFile15)
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParsePIDFile(s); err == nil && p.PID == 0 {
			t.Fatalf("%q gives process 0, which a signal would send to the caller's own group", s)
		}
	})
}

func TestRenderConf(t *testing.T) {
	got, err := RenderConf("postgresql.base.conf", Params{"work_mem": "4MB", "archive_command": `cp '%p' C:\x`, "a.b": ""})
	if err != nil {
		t.Fatal(err)
	}
	want := generatedNotice + "include 'postgresql.base.conf'\n\na.b = ''\narchive_command = 'cp ''%p'' C:\\\\x'\nwork_mem = '4MB'\n"
	if got != want {
		t.Errorf("%q\nwant %q", got, want)
	}
	for _, bad := range []Params{{"": "1"}, {"1a": "1"}, {"a b": "1"}, {"a=b": "1"}, {"a": "x\ny"}, {".a": "1"}, {"a.": "1"}} {
		if out, err := RenderConf("", bad); !errors.Is(err, ErrBadParam) {
			t.Errorf("%v renders as %q, %v", bad, out, err)
		}
	}
}

func TestParseConf(t *testing.T) {
	got, err := ParseConf("# c\n Port=5432 # five\nlisten_addresses '*'\narchive_command = 'cp ''%p'' \\'x\\' \\101\\t'#c\ninclude_dir 'conf.d'\na.b=on\n\n")
	want := []Setting{{"port", "5432"}, {"listen_addresses", "*"}, {"archive_command", "cp '%p' 'x' A\t"}, {"include_dir", "conf.d"}, {"a.b", "on"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"= 1", "port", "port =", "port = 'x", "port = 1 2", "port = a'b", "'x' = 1", "\n\n1x = 2"} {
		if got, err := ParseConf(bad); !errors.Is(err, ErrBadConf) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
	if _, err := ParseConf("a = 1\nb"); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("the place is not named: %v", err)
	}
}

func FuzzConfRoundTrip(f *testing.F) {
	f.Add("archive_command", `cp '%p' \x`)
	f.Fuzz(func(t *testing.T, name, value string) {
		out, err := RenderConf("", Params{name: value})
		if err != nil {
			return
		}
		got, err := ParseConf(out)
		if err != nil || len(got) != 1 || !strings.EqualFold(got[0].Name, name) || got[0].Value != value {
			t.Fatalf("%q = %q renders as %q and reads as %+v, %v", name, value, out, got, err)
		}
	})
}

func FuzzParseConf(f *testing.F) {
	f.Add("a = 'b\\")
	f.Fuzz(func(t *testing.T, s string) {
		set, err := ParseConf(s)
		if err != nil {
			return
		}
		for _, x := range set {
			if x.Name == "" {
				t.Fatalf("%q has a setting without a name", s)
			}
		}
	})
}

func TestStripConf(t *testing.T) {
	in := "# Do not edit\nprimary_conninfo = 'host=a'\nwork_mem = '4MB'\n Primary_Slot_Name='x'\n"
	got, changed := StripConf(in, []string{"primary_conninfo", "primary_slot_name"})
	if !changed || got != "# Do not edit\nwork_mem = '4MB'\n" {
		t.Errorf("%q, %v", got, changed)
	}
	if got, changed := StripConf(in, []string{"port"}); changed || got != in {
		t.Errorf("%q, %v", got, changed)
	}
}

func TestRenderHBA(t *testing.T) {
	got, err := RenderHBA([]string{"host replication replicator 172.31.0.0/16 md5", "# note", "local all all peer"}, []string{"local all postgres scram-sha-256"})
	if err != nil || !strings.HasSuffix(got, "peer\nlocal all postgres scram-sha-256\n") || !strings.HasPrefix(got, generatedNotice) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"host all all md5", "local all md5", "hots all all 0.0.0.0/0 md5", "host all all 0.0.0.0/0 md5\nhost", "localx all all peer"} {
		if out, err := RenderHBA([]string{bad}, nil); !errors.Is(err, ErrBadHBA) {
			t.Errorf("%q renders as %q, %v", bad, out, err)
		}
	}
	if out, err := RenderIdent([]string{"m a b\nx"}); !errors.Is(err, ErrBadHBA) {
		t.Errorf("%q, %v", out, err)
	}
	for in, want := range map[string]string{"postgres": "postgres", "all": `"all"`, "a b": `"a b"`, "+x": `"+x"`, "": `""`} {
		if got := QuoteHBA(in); got != want {
			t.Errorf("QuoteHBA(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestRenderPassFile(t *testing.T) {
	got, err := RenderPassFile([]Login{{"postgres", `a:b\c`}, {"repl", ""}, {"", "x"}, {"rewind", "p"}})
	if want := "*:*:*:postgres:a\\:b\\\\c\n*:*:*:rewind:p\n"; err != nil || got != want {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if _, err := RenderPassFile([]Login{{"a", "x\ny"}}); !errors.Is(err, ErrBadPassword) {
		t.Error(err)
	}
}
