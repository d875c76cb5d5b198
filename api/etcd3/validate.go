package etcd3

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
)

// The checks below are etcd's (server/etcdserver/api/v3rpc/key.go), in its order: which of two faults is reported is
// part of what clients see.

func validateRange(r *pb.RangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	_, order := pb.RangeRequest_SortOrder_name[int32(r.SortOrder)]
	_, target := pb.RangeRequest_SortTarget_name[int32(r.SortTarget)]
	if !order || !target {
		return rpctypes.ErrGRPCInvalidSortOption
	}
	return nil
}

func validatePut(r *pb.PutRequest) error {
	switch {
	case len(r.GetKey()) == 0:
		return rpctypes.ErrGRPCEmptyKey
	case r.IgnoreValue && len(r.Value) != 0:
		return rpctypes.ErrGRPCValueProvided
	case r.IgnoreLease && r.Lease != 0:
		return rpctypes.ErrGRPCLeaseProvided
	}
	return nil
}

func validateDelete(r *pb.DeleteRangeRequest) error {
	if len(r.GetKey()) == 0 {
		return rpctypes.ErrGRPCEmptyKey
	}
	return nil
}

// validateTxn checks a whole transaction: first the shape of each operation at every level, then that no level writes a
// key twice. budget is how many compares, or operations of one branch, this level may have.
func validateTxn(r *pb.TxnRequest, budget int) error {
	if err := validateTxnShape(r, budget); err != nil {
		return err
	}
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		if _, err := branchWrites(branch); err != nil {
			return err
		}
	}
	return nil
}

func validateTxnShape(r *pb.TxnRequest, budget int) error {
	used := max(len(r.GetCompare()), len(r.GetSuccess()), len(r.GetFailure()))
	if used > budget {
		return rpctypes.ErrGRPCTooManyOps
	}
	for _, c := range r.GetCompare() {
		if len(c.GetKey()) == 0 {
			return rpctypes.ErrGRPCEmptyKey
		}
	}
	for _, branch := range [][]*pb.RequestOp{r.GetSuccess(), r.GetFailure()} {
		for _, op := range branch {
			if err := validateOp(op, budget-used); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateOp checks one operation of a transaction. An operation without a request, or with an empty one, is reported as
// etcd reports it: "key not found" for the first, the fault of an empty request for the second.
func validateOp(op *pb.RequestOp, budget int) error {
	switch req := op.GetRequest().(type) {
	case *pb.RequestOp_RequestRange:
		return validateRange(req.RequestRange)
	case *pb.RequestOp_RequestPut:
		return validatePut(req.RequestPut)
	case *pb.RequestOp_RequestDeleteRange:
		return validateDelete(req.RequestDeleteRange)
	case *pb.RequestOp_RequestTxn:
		return validateTxnShape(req.RequestTxn, budget)
	default:
		return rpctypes.ErrGRPCKeyNotFound
	}
}
