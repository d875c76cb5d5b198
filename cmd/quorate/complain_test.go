package main

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"
)

// A store that is not there is told without what gRPC says around it.
func TestComplaintOfAStore(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"quorate", "-c", "/dev/null", "-d", "etcd3://127.0.0.1:9", "list", "demo"}, stdio{in: bytes.NewReader(nil), out: &out, err: &out}, nil)
	want := "Error: store (http://127.0.0.1:9): the store is unavailable: http://127.0.0.1:9: connection refused\n"
	if code == 0 || out.String() != want {
		t.Errorf("%d, %q, want %q", code, out.String(), want)
	}
}

// A value that its option does not take is misuse: the status is 2, as with patronictl, before anybody is asked.
func TestMisuseEndsWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"list", "-f", "xml"}, {"history", "--format", "xml"}, {"query", "-c", "SELECT 1", "--format", "xml"},
		{"dsn", "-r", "boss"}, {"restart", "-r", "boss"}, {"reload", "-r", "boss"}, {"flush", "-r", "boss", "restart"}, {"query", "-r", "boss"},
		{"flush", "everything"}, {"list", "--nonsense"}, {"nonsense"}, {"why", "-n", "few"},
	} {
		var out, errs bytes.Buffer
		code := run(append([]string{"quorate", "-c", "/dev/null"}, args...), stdio{in: bytes.NewReader(nil), out: &out, err: &errs}, nil)
		if code != 2 || out.Len() > 0 || !strings.Contains(errs.String(), "\nTry 'quorate --help' for help.\n") {
			t.Errorf("%q: %d, %q, %q", args, code, &out, &errs)
		}
	}
}

// A copy of a store that is not there fails; the client alone would wait for it for ever.
func TestSnapshotOfNoStoreEnds(t *testing.T) {
	var out bytes.Buffer
	file := t.TempDir() + "/copy"
	code := run([]string{"quorate", "-c", "/dev/null", "-d", "etcd3://127.0.0.1:9", "snapshot", "save", file}, stdio{in: bytes.NewReader(nil), out: &out, err: &out}, nil)
	if code != 1 || !strings.HasPrefix(out.String(), "Error: store: no host of it answers\nhttp://127.0.0.1:9: ") {
		t.Errorf("%d, %q", code, out.String())
	}
}

// The members of a store that is not there are not waited for: each host is named with what was wrong with it.
func TestMembersOfNoStore(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	var out bytes.Buffer
	begun := time.Now()
	code := run([]string{"quorate", "-c", "/dev/null", "-d", "etcd3://" + silent.Addr().String() + ",127.0.0.1:9", "member", "list"},
		stdio{in: bytes.NewReader(nil), out: &out, err: &out}, nil)
	for _, want := range []string{"Error: store: no host of it answers\n", "\nhttp://127.0.0.1:9: dial tcp 127.0.0.1:9: connect: connection refused\n", "\nhttp://" + silent.Addr().String() + ": "} {
		if code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%d, %q, want %q", code, out.String(), want)
		}
	}
	if took := time.Since(begun); took > storeTimeout {
		t.Errorf("it took %s", took)
	}
}

// Without any configuration this host is asked, and that is said once.
func TestNowhereIsSaid(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want int
	}{{map[string]string{"HOME": t.TempDir()}, 1}, {map[string]string{"HOME": "/", "PATRONI_SCOPE": "a"}, 0}, {map[string]string{"DCS_URL": "etcd3://127.0.0.1:9"}, 0}} {
		var errs bytes.Buffer
		a := &app{stdio: stdio{err: &errs}, env: c.env}
		a.noteNowhere("/nonexistent/quorate.yml")
		a.noteNowhere("/nonexistent/quorate.yml")
		if got := strings.Count(errs.String(), "Note: there is no configuration (/nonexistent/quorate.yml), no -c and no -d: this host is asked, at 127.0.0.1"); got != c.want {
			t.Errorf("%v: told %d times: %s", c.env, got, &errs)
		}
	}
}
