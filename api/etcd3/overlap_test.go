package etcd3

import (
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"pgregory.net/rapid"
)

// span is one write of the naive twin: keys from key up to end, or key alone.
type span struct {
	key, end string
	put      bool
}

func (s span) has(key string) bool {
	if s.end == "" {
		return key == s.key
	}
	return s.key <= key && key < s.end
}

// naiveWrites is branchWrites by plain lists: the writes of a branch in the order in which etcd compares them, or false
// when two of them touch one key.
func naiveWrites(ops []*pb.RequestOp) (all []span, ok bool) {
	add := func(key string) bool {
		for _, s := range all {
			if s.has(key) {
				return false
			}
		}
		all = append(all, span{key: key, put: true})
		return true
	}
	for _, op := range ops {
		if d := op.GetRequestDeleteRange(); d != nil {
			all = append(all, span{key: string(d.Key), end: string(d.RangeEnd)})
		}
	}
	for _, op := range ops {
		nested := op.GetRequestTxn()
		if nested == nil {
			continue
		}
		success, ok1 := naiveWrites(nested.Success)
		failure, ok2 := naiveWrites(nested.Failure)
		if !ok1 || !ok2 {
			return nil, false
		}
		once := map[string]bool{}
		for _, s := range append(success, failure...) {
			if s.put && !once[s.key] {
				once[s.key] = true
				if !add(s.key) {
					return nil, false
				}
			}
		}
		for _, s := range append(success, failure...) {
			if !s.put {
				all = append(all, s)
			}
		}
	}
	for _, op := range ops {
		if p := op.GetRequestPut(); p != nil && !add(string(p.Key)) {
			return nil, false
		}
	}
	return all, true
}

func drawOps(t *rapid.T, depth int) []*pb.RequestOp {
	letters := rapid.StringOfN(rapid.RuneFrom([]rune("abcdef")), 1, 1, -1)
	n := rapid.IntRange(0, 4).Draw(t, "ops")
	ops := make([]*pb.RequestOp, n)
	for i := range ops {
		key := []byte(letters.Draw(t, "key"))
		kind := rapid.IntRange(0, 3).Draw(t, "kind")
		if depth == 0 && kind == 3 {
			kind = 0
		}
		switch kind {
		case 0:
			ops[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{Key: key}}}
		case 1:
			ops[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: &pb.DeleteRangeRequest{Key: key}}}
		case 2:
			end := []byte{key[0] + byte(rapid.IntRange(1, 3).Draw(t, "width"))}
			ops[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{
				RequestDeleteRange: &pb.DeleteRangeRequest{Key: key, RangeEnd: end}}}
		case 3:
			ops[i] = &pb.RequestOp{Request: &pb.RequestOp_RequestTxn{RequestTxn: &pb.TxnRequest{
				Success: drawOps(t, depth-1), Failure: drawOps(t, depth-1)}}}
		}
	}
	return ops
}

// The interval tree and the plain lists agree on every transaction.
func TestOverlapAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := drawOps(t, 2)
		_, err := branchWrites(ops)
		if _, ok := naiveWrites(ops); ok != (err == nil) {
			t.Fatalf("twin says %v, branchWrites %v for %v", ok, err, ops)
		}
	})
}
