package raftstore

import (
	"errors"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// ErrMalformed is returned for a request that no front end lets through: etcd's packages meet it with a panic, in every
// replica and at every start again, so it must not take effect even if it has come into the log.
var ErrMalformed = errors.New("raftstore: malformed request")

// maxTxnDepth bounds how deep transactions may nest.
const maxTxnDepth = 128

// wellFormed says whether a request can be applied. It is asked before a proposal and again at apply; it depends on the
// request alone.
func wellFormed(r *pb.InternalRaftRequest) error {
	switch {
	case r.Put != nil:
		return wellFormedPut(r.Put)
	case r.DeleteRange != nil:
		return wellFormedKey(r.DeleteRange.Key)
	case r.Txn != nil:
		return wellFormedTxn(r.Txn, maxTxnDepth)
	}
	return nil
}

func wellFormedKey(key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%w: empty key", ErrMalformed)
	}
	return nil
}

func wellFormedPut(r *pb.PutRequest) error {
	if r == nil {
		return fmt.Errorf("%w: empty operation", ErrMalformed)
	}
	return wellFormedKey(r.Key)
}

func wellFormedTxn(r *pb.TxnRequest, depth int) error {
	if r == nil || depth == 0 {
		return fmt.Errorf("%w: empty or too deep transaction", ErrMalformed)
	}
	for _, c := range r.Compare {
		if c == nil {
			return fmt.Errorf("%w: empty comparison", ErrMalformed)
		}
		if err := wellFormedKey(c.Key); err != nil {
			return err
		}
	}
	for _, ops := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range ops {
			if err := wellFormedOp(op, depth); err != nil {
				return err
			}
		}
	}
	return nil
}

func wellFormedOp(op *pb.RequestOp, depth int) error {
	switch u := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return wellFormedRange(u.RequestRange)
	case *pb.RequestOp_RequestPut:
		return wellFormedPut(u.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return wellFormedKey(u.RequestDeleteRange.GetKey())
	case *pb.RequestOp_RequestTxn:
		return wellFormedTxn(u.RequestTxn, depth-1)
	}
	return fmt.Errorf("%w: empty operation", ErrMalformed)
}

func wellFormedRange(r *pb.RangeRequest) error {
	if r == nil {
		return fmt.Errorf("%w: empty operation", ErrMalformed)
	}
	if _, ok := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]; !ok {
		return fmt.Errorf("%w: sort target %d", ErrMalformed, r.SortTarget)
	}
	if _, ok := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]; !ok {
		return fmt.Errorf("%w: sort order %d", ErrMalformed, r.SortOrder)
	}
	return wellFormedKey(r.Key)
}
