//go:build torture

package main

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func TestTheModelSeesViolations(t *testing.T) {
	at := int64(0)
	op := func(client int, in input, out output) porcupine.Operation {
		at += 10
		in.key = "k"
		return porcupine.Operation{ClientId: client, Input: in, Call: at, Output: out, Return: at + 5}
	}
	put := op(1, input{op: "put", value: "a"}, output{rev: 2})
	lost := op(2, input{op: "put", value: "b"}, output{unknown: true})
	lost.Return = time.Hour.Nanoseconds()
	for what, c := range map[string]struct {
		ops  []porcupine.Operation
		want bool
	}{
		"a read of what was written":   {[]porcupine.Operation{put, op(1, input{op: "get"}, output{value: "a", rev: 2})}, true},
		"a stale read":                 {[]porcupine.Operation{put, op(2, input{op: "get"}, output{})}, false},
		"a lost write that took place": {[]porcupine.Operation{put, lost, op(1, input{op: "get"}, output{value: "b", rev: 9})}, true},
		"a write that was undone": {[]porcupine.Operation{put, lost, op(1, input{op: "get"}, output{value: "b", rev: 9}),
			op(1, input{op: "get"}, output{value: "a", rev: 2})}, false},
		"two swaps of one revision": {[]porcupine.Operation{put, op(1, input{op: "cas", value: "c", rev: 2}, output{done: true, rev: 3}),
			op(2, input{op: "cas", value: "d", rev: 2}, output{done: true, rev: 4})}, false},
		"a delete of nothing": {[]porcupine.Operation{op(1, input{op: "delete"}, output{done: true})}, false},
	} {
		if got := porcupine.CheckOperations(model.ToModel(), c.ops); got != c.want {
			t.Errorf("%s: %v, want %v", what, got, c.want)
		}
	}
}

func TestTheLockIsWatched(t *testing.T) {
	s := time.Second
	w := &lockWatch{holds: []hold{{id: 1, asked: 0, got: s, until: 5 * s}, {id: 2, asked: 6 * s, got: 7 * s, until: 9 * s}}}
	if err := w.check(); err != nil {
		t.Error(err)
	}
	w.holds[1].asked, w.holds[1].got = 2*s, 3*s
	if w.check() == nil {
		t.Error("a lock that two had at once is not seen")
	}
}
