package check

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestHistoryKeepsTheLatestOfEachAttempt(t *testing.T) {
	var h History
	h.Record(Op{ID: "1", Writer: "w", Outcome: Unknown})
	h.Record(Op{ID: "2", Writer: "w", Outcome: Unknown})
	h.Record(Op{ID: "1", Writer: "w", Outcome: Acked})
	ops := h.Ops()
	if len(ops) != 2 || ops[0].Outcome != Acked || ops[1].Outcome != Unknown || h.Acked() != 1 {
		t.Errorf("ops %v", ops)
	}
	if last, ok := h.Last("w"); !ok || last.ID != "2" {
		t.Errorf("last of w: %v, %v", last, ok)
	}
	if _, ok := h.Last("nobody"); ok {
		t.Error("a writer that never wrote has a last attempt")
	}
}

func TestReadLines(t *testing.T) {
	op := Op{ID: "a-1", Writer: "a", Start: 1, End: 2, Outcome: Acked, Server: Server{"7", 3, "10.0.0.1:5432", 9}, Session: 4}
	line, err := json.Marshal(op)
	if err != nil {
		t.Fatal(err)
	}
	var h History
	if err := h.ReadLines(strings.NewReader(string(line) + "\n" + string(line[:20]))); err != nil {
		t.Fatal(err)
	}
	if ops := h.Ops(); len(ops) != 1 || ops[0] != op {
		t.Errorf("read %+v, want %+v", ops, op)
	}
	if err := h.ReadLines(strings.NewReader(string(line) + "\n{\"idd\":1}\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one of line 2", err)
	}
}
