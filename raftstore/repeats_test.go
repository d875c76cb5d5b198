package raftstore

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestTroubleIsToldOncePerMemberAndMinute(t *testing.T) {
	var r repeats
	at := time.Unix(0, 0)
	for i, c := range []struct {
		msg  string
		args []any
		wait time.Duration
		want bool
	}{
		{"failed to heartbeat to", []any{"peer", "a", "error", "refused"}, 0, true},
		{"failed to heartbeat to", []any{"peer", "a", "error", "reset"}, time.Second, false},
		{"failed to heartbeat to", []any{"peer", "b"}, 0, true},
		{"failed to contact", []any{"server-id", "a"}, 0, true},
		{"failed to heartbeat to", []any{"peer", "a"}, repeatEvery, true},
		{"no peer in sight", nil, 0, true},
		{"no peer in sight", nil, 0, false},
	} {
		at = at.Add(c.wait)
		if got := r.due(c.msg, c.args, at); got != c.want {
			t.Errorf("%d: %s %v: told %v, want %v", i, c.msg, c.args, got, c.want)
		}
	}
	for i := range 10 * maxTold {
		r.due("failed to contact", []any{"server-id", i}, at)
	}
	if len(r.told) > maxTold {
		t.Errorf("%d lines are remembered", len(r.told))
	}
}

func TestRepeatsOfRaftAreDebugging(t *testing.T) {
	var out bytes.Buffer
	h := &hcLogger{log: slog.New(slog.NewTextHandler(&out, nil)), said: &repeats{}}
	for range 5 {
		h.Error("failed to heartbeat to", "peer", "a")
	}
	h.With("x", 1).Error("failed to heartbeat to", "peer", "a")
	if n := strings.Count(out.String(), "failed to heartbeat"); n != 1 {
		t.Errorf("told %d times:\n%s", n, out.String())
	}
}
