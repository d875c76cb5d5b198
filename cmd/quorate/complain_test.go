package main

import (
	"bytes"
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
