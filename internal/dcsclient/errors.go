package dcsclient

import (
	"errors"
	"fmt"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The kinds of errors. Each is wrapped around what the store or the network said; use errors.Is.
var (
	// ErrUnavailable: no host could serve the call, and it has changed nothing.
	ErrUnavailable = errors.New("the store is unavailable")
	// ErrUnknownOutcome: the call was sent and no answer came, so it may have been applied, or may yet be. Read before
	// deciding anew.
	ErrUnknownOutcome = errors.New("the outcome of the commit is unknown")
	// ErrLeaseNotFound: the lease has expired or was revoked, and its keys are gone.
	ErrLeaseNotFound = errors.New("the lease is gone")
	// ErrCompacted: the revision that a watch was to start from is no longer kept. List again.
	ErrCompacted = errors.New("the revision has been compacted")
	// ErrPermission: the store knows users, and not this one, or does not allow it this.
	ErrPermission = errors.New("the store refuses permission")
	// ErrClusterChanged: a host answered from another cluster than the snapshot came from. List again.
	ErrClusterChanged = errors.New("the store is another cluster than before")
	// ErrRejected: the store found the call itself wrong (too large, malformed) and did nothing. It will not do it next time.
	ErrRejected = errors.New("the store rejects the call")
	// ErrClosed: the client has been closed.
	ErrClosed = errors.New("the store client is closed")
)

// classify gives an error of a call that has changed nothing, or cannot have, its kind.
func classify(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", kindOf(err), err)
}

func kindOf(err error) error {
	for _, kind := range []error{
		ErrUnavailable, ErrUnknownOutcome, ErrLeaseNotFound, ErrCompacted, ErrPermission, ErrClusterChanged, ErrRejected, ErrClosed,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	s := statusOf(err)
	switch s.Message() {
	case text(rpctypes.ErrGRPCLeaseNotFound):
		return ErrLeaseNotFound
	case text(rpctypes.ErrGRPCCompacted):
		return ErrCompacted
	}
	switch s.Code() {
	case codes.PermissionDenied, codes.Unauthenticated:
		return ErrPermission
	case codes.InvalidArgument:
		if isAuthFault(s) {
			return ErrPermission
		}
		return ErrRejected
	case codes.OutOfRange, codes.NotFound, codes.Unimplemented:
		return ErrRejected
	}
	return ErrUnavailable
}

// statusOf is the status in an error as the store sent it. status.Convert would put the text of the wrapping into it.
func statusOf(err error) *status.Status {
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus()
	}
	return status.Convert(err)
}

func text(err error) string { return rpctypes.ErrorDesc(err) }

// isAuthFault says whether a status is about who is calling although its code does not say so.
func isAuthFault(s *status.Status) bool {
	switch s.Message() {
	case text(rpctypes.ErrGRPCUserEmpty), text(rpctypes.ErrGRPCAuthFailed), text(rpctypes.ErrGRPCAuthOldRevision):
		return true
	}
	return false
}

// certainlyNotApplied says whether a status that a store answered rules out that the write has been, or will be, applied.
// Whatever is not known to rule it out does not: "request timed out" and the like stand for writes that are in the log. So
// does "database space exceeded", which etcd answers after having applied the write that reached the limit.
func certainlyNotApplied(err error) bool {
	s := statusOf(err)
	switch s.Message() {
	case text(rpctypes.ErrGRPCNoLeader), text(rpctypes.ErrGRPCNotLeader), text(rpctypes.ErrGRPCNotSupportedForLearner),
		text(rpctypes.ErrGRPCNotCapable), text(rpctypes.ErrGRPCRequestTooManyRequests), text(rpctypes.ErrGRPCLeaseNotFound):
		return true
	}
	switch s.Code() {
	case codes.InvalidArgument, codes.OutOfRange, codes.PermissionDenied, codes.Unauthenticated, codes.Unimplemented:
		return true
	}
	return false
}
