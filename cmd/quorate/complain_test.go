package main

import (
	"bytes"
	"strings"
	"testing"
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
	if code != 1 || !strings.HasPrefix(out.String(), "Error: store: no host of it answers: http://127.0.0.1:9: ") {
		t.Errorf("%d, %q", code, out.String())
	}
}
