package etcd3

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/pkg/v3/adt"
)

// writes is what one branch of a transaction, with all that is nested in it, would change. Deletions are kept in an
// interval tree because a request within the size limit can carry enough of them to make pairwise comparison a denial of
// service.
type writes struct {
	puts    map[string]struct{}
	deletes adt.IntervalTree
}

// wholeKeySpace covers every key: the smallest is one zero byte.
var wholeKeySpace = adt.NewStringAffineInterval("\x00", "")

// branchWrites collects the writes of a branch, or says that two of them touch one key. Both branches of a nested
// transaction may put the same key: only one of them will run.
func branchWrites(ops []*pb.RequestOp) (writes, error) {
	w := writes{puts: map[string]struct{}{}, deletes: adt.NewIntervalTree()}
	// Deletions first, so that a put nested anywhere below is checked against those of this level.
	for _, op := range ops {
		if del := op.GetRequestDeleteRange(); del != nil {
			w.deletes.Insert(keyInterval(del.Key, del.RangeEnd), struct{}{})
		}
	}
	for _, op := range ops {
		if nested := op.GetRequestTxn(); nested != nil {
			if err := w.addNested(nested); err != nil {
				return w, err
			}
		}
	}
	for _, op := range ops {
		if put := op.GetRequestPut(); put != nil {
			if err := w.addPut(string(put.Key)); err != nil {
				return w, err
			}
		}
	}
	return w, nil
}

func (w *writes) addNested(txn *pb.TxnRequest) error {
	success, err := branchWrites(txn.Success)
	if err != nil {
		return err
	}
	failure, err := branchWrites(txn.Failure)
	if err != nil {
		return err
	}
	for key := range success.puts {
		if err := w.addPut(key); err != nil {
			return err
		}
	}
	for key := range failure.puts {
		if _, both := success.puts[key]; both {
			continue // the success branch's put of it has passed the same checks
		}
		if err := w.addPut(key); err != nil {
			return err
		}
	}
	w.deletes.Union(success.deletes, wholeKeySpace)
	w.deletes.Union(failure.deletes, wholeKeySpace)
	return nil
}

func (w *writes) addPut(key string) error {
	if _, twice := w.puts[key]; twice || w.deletes.Intersects(adt.NewStringAffinePoint(key)) {
		return rpctypes.ErrGRPCDuplicateKey
	}
	w.puts[key] = struct{}{}
	return nil
}

// keyInterval is the keys that a request with this key and range end touches.
func keyInterval(key, end []byte) adt.Interval {
	if len(end) == 0 {
		return adt.NewStringAffinePoint(string(key))
	}
	return adt.NewStringAffineInterval(string(key), string(end))
}
