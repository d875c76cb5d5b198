package dcsclient

import (
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"

	"quorate/raftstore/dcs"
)

// prefixEnd is the end of the range of keys with a prefix: the prefix with its last byte that can grow grown. A prefix
// that is empty, or all 0xff, has no end: one zero byte stands for that.
func prefixEnd(prefix string) []byte {
	end := []byte(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return []byte{0}
}

// prefixStart is where that range starts; the empty key is none, so the empty prefix starts at the smallest.
func prefixStart(prefix string) []byte {
	if prefix == "" {
		return []byte{0}
	}
	return []byte(prefix)
}

func toTxn(t dcs.Txn) *pb.TxnRequest {
	req := &pb.TxnRequest{}
	for _, c := range t.If {
		req.Compare = append(req.Compare, toCompare(c))
	}
	for _, op := range t.Then {
		req.Success = append(req.Success, toOp(op))
	}
	return req
}

func toCompare(c dcs.Compare) *pb.Compare {
	out := &pb.Compare{Key: []byte(c.Key), Result: pb.Compare_EQUAL}
	switch c.Target {
	case dcs.Create:
		out.Target = pb.Compare_CREATE
		out.TargetUnion = &pb.Compare_CreateRevision{CreateRevision: c.Rev}
	case dcs.Mod:
		out.Target = pb.Compare_MOD
		out.TargetUnion = &pb.Compare_ModRevision{ModRevision: c.Rev}
	case dcs.Value:
		out.Target = pb.Compare_VALUE
		out.TargetUnion = &pb.Compare_Value{Value: []byte(c.Value)}
	}
	return out
}

func toOp(op dcs.Op) *pb.RequestOp {
	if !op.Delete {
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: &pb.PutRequest{
			Key: []byte(op.Key), Value: []byte(op.Value), Lease: op.Lease,
		}}}
	}
	del := &pb.DeleteRangeRequest{Key: []byte(op.Key)}
	if op.Prefix {
		del.Key, del.RangeEnd = prefixStart(op.Key), prefixEnd(op.Key)
	}
	return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: del}}
}

func fromKV(kv *mvccpb.KeyValue) KV {
	return KV{
		Key: string(kv.Key), Value: kv.Value, CreateRevision: kv.CreateRevision, ModRevision: kv.ModRevision,
		Version: kv.Version, Lease: kv.Lease,
	}
}

func fromEvent(e *mvccpb.Event) Event {
	if e.Type == mvccpb.Event_DELETE {
		return Event{Type: Delete, KV: KV{Key: string(e.Kv.Key), ModRevision: e.Kv.ModRevision}}
	}
	return Event{Type: Put, KV: fromKV(e.Kv)}
}

// wholeSeconds is a TTL as the wire has it: never shorter than asked for, and never zero.
func wholeSeconds(ttl time.Duration) int64 {
	return max(1, int64((ttl+time.Second-1)/time.Second))
}
