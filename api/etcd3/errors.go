package etcd3

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// statusOf pairs each identity that a store may return with the status that clients match, by text or by code.
var statusOf = []struct{ cause, status error }{
	{etcderrors.ErrNoLeader, rpctypes.ErrGRPCNoLeader},
	{etcderrors.ErrNotLeader, rpctypes.ErrGRPCNotLeader},
	{etcderrors.ErrLeaderChanged, rpctypes.ErrGRPCLeaderChanged},
	{etcderrors.ErrStopped, rpctypes.ErrGRPCStopped},
	{etcderrors.ErrTimeout, rpctypes.ErrGRPCTimeout},
	{etcderrors.ErrTimeoutDueToLeaderFail, rpctypes.ErrGRPCTimeoutDueToLeaderFail},
	{etcderrors.ErrTimeoutDueToConnectionLost, rpctypes.ErrGRPCTimeoutDueToConnectionLost},
	{etcderrors.ErrTimeoutLeaderTransfer, rpctypes.ErrGRPCTimeout},
	{etcderrors.ErrTimeoutWaitAppliedIndex, rpctypes.ErrGRPCTimeoutWaitAppliedIndex},
	{etcderrors.ErrUnhealthy, rpctypes.ErrGRPCUnhealthy},
	{etcderrors.ErrCorrupt, rpctypes.ErrGRPCCorrupt},
	{etcderrors.ErrCanceled, rpctypes.ErrGRPCCanceled},
	{etcderrors.ErrRequestTooLarge, rpctypes.ErrGRPCRequestTooLarge},
	{etcderrors.ErrNoSpace, rpctypes.ErrGRPCNoSpace},
	{etcderrors.ErrTooManyRequests, rpctypes.ErrGRPCRequestTooManyRequests},
	{etcderrors.ErrKeyNotFound, rpctypes.ErrGRPCKeyNotFound},
	{etcderrors.ErrBadLeaderTransferee, rpctypes.ErrGRPCBadLeaderTransferee},
	{etcderrors.ErrNotEnoughStartedMembers, rpctypes.ErrGRPCMemberNotEnoughStarted},
	{etcderrors.ErrLearnerNotReady, rpctypes.ErrGRPCLearnerNotReady},

	{mvcc.ErrCompacted, rpctypes.ErrGRPCCompacted},
	{mvcc.ErrFutureRev, rpctypes.ErrGRPCFutureRev},

	{lease.ErrLeaseNotFound, rpctypes.ErrGRPCLeaseNotFound},
	{lease.ErrLeaseExists, rpctypes.ErrGRPCLeaseExist},
	{lease.ErrLeaseTTLTooLarge, rpctypes.ErrGRPCLeaseTTLTooLarge},
	// etcd lets this one escape as Unknown (etcd-io/etcd#21671), which Patroni took for final (patroni/patroni#3595).
	{lease.ErrNotPrimary, rpctypes.ErrGRPCLeaderChanged},

	{membership.ErrIDRemoved, rpctypes.ErrGRPCMemberNotFound},
	{membership.ErrIDNotFound, rpctypes.ErrGRPCMemberNotFound},
	{membership.ErrIDExists, rpctypes.ErrGRPCMemberExist},
	{membership.ErrPeerURLexists, rpctypes.ErrGRPCPeerURLExist},
	{membership.ErrMemberNotLearner, rpctypes.ErrGRPCMemberNotLearner},
	{membership.ErrTooManyLearners, rpctypes.ErrGRPCTooManyLearners},

	{auth.ErrRootUserNotExist, rpctypes.ErrGRPCRootUserNotExist},
	{auth.ErrRootRoleNotExist, rpctypes.ErrGRPCRootRoleNotExist},
	{auth.ErrUserAlreadyExist, rpctypes.ErrGRPCUserAlreadyExist},
	{auth.ErrUserEmpty, rpctypes.ErrGRPCUserEmpty},
	{auth.ErrUserNotFound, rpctypes.ErrGRPCUserNotFound},
	{auth.ErrRoleAlreadyExist, rpctypes.ErrGRPCRoleAlreadyExist},
	{auth.ErrRoleNotFound, rpctypes.ErrGRPCRoleNotFound},
	{auth.ErrRoleEmpty, rpctypes.ErrGRPCRoleEmpty},
	{auth.ErrAuthFailed, rpctypes.ErrGRPCAuthFailed},
	{auth.ErrNoPasswordUser, rpctypes.ErrGRPCAuthFailed},
	{auth.ErrPermissionNotGiven, rpctypes.ErrGRPCPermissionNotGiven},
	{auth.ErrPermissionDenied, rpctypes.ErrGRPCPermissionDenied},
	{auth.ErrRoleNotGranted, rpctypes.ErrGRPCRoleNotGranted},
	{auth.ErrPermissionNotGranted, rpctypes.ErrGRPCPermissionNotGranted},
	{auth.ErrAuthNotEnabled, rpctypes.ErrGRPCAuthNotEnabled},
	{auth.ErrInvalidAuthToken, rpctypes.ErrGRPCInvalidAuthToken},
	{auth.ErrInvalidAuthMgmt, rpctypes.ErrGRPCInvalidAuthMgmt},
	{auth.ErrAuthOldRevision, rpctypes.ErrGRPCAuthOldRevision},
}

// toStatus gives an error of the store the status that etcd's clients expect. A status passes as it is. What the table
// does not know becomes Unavailable with its own text, never Unknown: the client then asks another host, where Unknown
// would make a failover manager give up.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	for _, row := range statusOf {
		if errors.Is(err, row.cause) {
			return row.status
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return status.FromContextError(contextCause(err)).Err()
	}
	var coded rpctypes.EtcdError
	if errors.As(err, &coded) {
		return status.Error(coded.Code(), coded.Error())
	}
	// Not status.FromError: it would put the text of the wrapping before the text that clients match.
	var carrier interface{ GRPCStatus() *status.Status }
	if errors.As(err, &carrier) {
		return carrier.GRPCStatus().Err()
	}
	return status.Error(codes.Unavailable, "etcdserver: "+strings.TrimPrefix(err.Error(), "etcdserver: "))
}

// contextCause strips the wrapping off a context error: clients match "context deadline exceeded" as the whole text.
func contextCause(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return context.Canceled
}
