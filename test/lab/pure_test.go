package lab

import (
	"os"
	"testing"
)

func TestParseRun(t *testing.T) {
	for name, want := range map[string]run{
		"qlab-12-345-1":           {12, 345, 1},
		"qlab-12-345-1-h1":        {12, 345, 1},
		"qlab-12-345-7-two-words": {12, 345, 7},
	} {
		if got, ok := parseRun(name); !ok || got != want {
			t.Errorf("parseRun(%q) = %v, %v; want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "qlab", "qlab-12-345", "qlab-x-345-1", "qlab-12-x-1", "qlab-12-345-x", "other-12-345-1"} {
		if got, ok := parseRun(name); ok {
			t.Errorf("parseRun(%q) = %v, want none", name, got)
		}
	}
}

func TestRunIsAliveByStartTime(t *testing.T) {
	r, err := newRun(1)
	if err != nil {
		t.Fatal(err)
	}
	if !r.alive() {
		t.Error("this process is not alive")
	}
	r.start++
	if r.alive() {
		t.Error("another process of the same id counts as alive")
	}
}

func TestParseStat(t *testing.T) {
	const rest = " S 7 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 9876 1000 10"
	for _, comm := range []string{"postgres", "a b", "odd) S 99 (name"} {
		got, ppid, start, err := parseStat("42 (" + comm + ")" + rest)
		if err != nil || got != comm || ppid != 7 || start != 9876 {
			t.Errorf("%q: got %q, %d, %d, %v", comm, got, ppid, start, err)
		}
	}
	for _, bad := range []string{"", "42 no brackets", "42 (x) S 7", "42 )x(" + rest} {
		if _, _, _, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) is content", bad)
		}
	}
}

func TestRoles(t *testing.T) {
	agent := Proc{PID: 10, PPID: 1, Comm: "quorate", Args: []string{"/opt/quorate", "run", "/etc/q.yml"}}
	fence := Proc{PID: 11, PPID: 10, Comm: "quorate", Args: []string{"quorate", "fence"}}
	master := Proc{PID: 12, PPID: 11, Comm: "postgres", Args: []string{"/usr/lib/postgresql/15/bin/postgres", "-D", "/data"}}
	backend := Proc{PID: 13, PPID: 12, Comm: "postgres", Args: []string{"postgres: app app [local] COMMIT"}}
	single := Proc{PID: 14, PPID: 10, Comm: "postgres", Args: []string{"postgres", "--single", "-D", "/data"}}
	ask := Proc{PID: 15, PPID: 10, Comm: "postgres", Args: []string{"postgres", "-C", "port"}}
	patroni := Proc{PID: 16, PPID: 1, Comm: "patroni", Args: []string{"/usr/bin/python3", "/usr/bin/patroni", "p.yml"}}
	parents := map[int]Proc{10: agent, 11: fence, 12: master}
	for _, tc := range []struct {
		name string
		role Role
		want Proc
	}{{"agent", Agent, agent}, {"fence", Fence, fence}, {"postmaster", Postmaster, master}, {"backend", Backend, backend}, {"program", Program("patroni"), patroni}} {
		for _, p := range []Proc{agent, fence, master, backend, single, ask, patroni} {
			if got := tc.role(p, parents[p.PPID]); got != (p.PID == tc.want.PID) {
				t.Errorf("%s matches pid %d: %v", tc.name, p.PID, got)
			}
		}
	}
}

func TestTailKeepsWholeLines(t *testing.T) {
	path := t.TempDir() + "/log"
	if err := os.WriteFile(path, []byte("first line\nsecond\nthird\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := string(tail(path, 15)); got != "second\nthird\n" && got != "third\n" {
		t.Errorf("tail = %q", got)
	}
	if got := string(tail(path, 100)); got != "first line\nsecond\nthird\n" {
		t.Errorf("whole file = %q", got)
	}
}
