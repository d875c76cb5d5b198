package raftstore

import (
	"context"
	"errors"

	"go.etcd.io/etcd/server/v3/auth"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
	"go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Errors of a store's life. What requests fail with are etcd's own errors, identity included: those of
// etcdserver/errors, mvcc, lease and auth, and the ones on membership below.
var (
	// ErrForeignFolder is returned by Open when the store folder was made on another host or for another address: most
	// likely an image or a backup with the folder inside. Two hosts with one identity would vote twice. Remedy: empty the
	// folder, so that this host joins with an identity of its own; or, when the host itself moved and the original is gone
	// for good, open once with Options.AdoptFolder.
	ErrForeignFolder = errors.New("raftstore: the store folder belongs to another host")
	// ErrReopen ends a store that must be closed and opened again: what is wrong is in memory and the folder is fine.
	ErrReopen = errors.New("raftstore: the store must be reopened")
	// ErrDisk ends a store whose files can no longer be written or read.
	ErrDisk = errors.New("raftstore: the store's disk failed")
	// ErrUnknownEntry ends a store that met a log entry which this version does not know. Skipping it would make this
	// replica differ from the others. Remedy: run the version that the other hosts run.
	ErrUnknownEntry = errors.New("raftstore: log entry of an unknown kind")
	// ErrRemoved ends a store whose member was removed from the cluster.
	ErrRemoved = errors.New("raftstore: this member was removed from the cluster")
)

// Errors on membership: etcd's identities, and ErrBadPeerURL for URLs that are none.
var (
	ErrMemberNotFound   = membership.ErrIDNotFound
	ErrMemberExists     = membership.ErrIDExists
	ErrPeerURLExists    = membership.ErrPeerURLexists
	ErrMemberNotLearner = membership.ErrMemberNotLearner
	ErrTooManyLearners  = membership.ErrTooManyLearners
	ErrLearnerNotReady  = etcderrors.ErrLearnerNotReady
	ErrTooFewMembers    = etcderrors.ErrNotEnoughStartedMembers
	ErrUnhealthy        = etcderrors.ErrUnhealthy
	ErrBadPeerURL       = errors.New("given member URLs are invalid")
)

// Errors between peers: none of them reaches a front end.
var (
	errNotLeaderRetry     = errors.New("raftstore: the peer asked is not the leader; nothing was done")
	errNotMember          = errors.New("raftstore: the peer is not a member of this cluster")
	errStaleTerm          = errors.New("raftstore: the peer has seen a newer term")
	errTermAhead          = errors.New("raftstore: the peer has not seen the term yet")
	errRequestOutOfBounds = errors.New("raftstore: message is too large")
)

// wireErrors are the errors that cross the peer port by their text and come out as the same values.
var wireErrors = func() map[string]error {
	list := []error{
		etcderrors.ErrStopped, etcderrors.ErrTimeout, etcderrors.ErrTimeoutDueToLeaderFail,
		etcderrors.ErrTimeoutDueToConnectionLost, etcderrors.ErrTimeoutWaitAppliedIndex, etcderrors.ErrLeaderChanged,
		etcderrors.ErrNotEnoughStartedMembers, etcderrors.ErrLearnerNotReady, etcderrors.ErrNoLeader,
		etcderrors.ErrNotLeader, etcderrors.ErrRequestTooLarge, etcderrors.ErrNoSpace, etcderrors.ErrTooManyRequests,
		etcderrors.ErrUnhealthy, etcderrors.ErrCorrupt, etcderrors.ErrBadLeaderTransferee, etcderrors.ErrKeyNotFound,
		mvcc.ErrCompacted, mvcc.ErrFutureRev,
		lease.ErrLeaseNotFound, lease.ErrLeaseExists, lease.ErrLeaseTTLTooLarge,
		auth.ErrRootUserNotExist, auth.ErrRootRoleNotExist, auth.ErrUserAlreadyExist, auth.ErrUserEmpty,
		auth.ErrUserNotFound, auth.ErrRoleAlreadyExist, auth.ErrRoleNotFound, auth.ErrRoleEmpty, auth.ErrPermissionNotGiven,
		auth.ErrAuthFailed, auth.ErrNoPasswordUser, auth.ErrPermissionDenied, auth.ErrRoleNotGranted,
		auth.ErrPermissionNotGranted, auth.ErrAuthNotEnabled, auth.ErrAuthOldRevision, auth.ErrInvalidAuthToken,
		auth.ErrInvalidAuthOpts, auth.ErrInvalidAuthMgmt, auth.ErrInvalidAuthMethod,
		ErrMemberNotFound, ErrMemberExists, ErrPeerURLExists, ErrMemberNotLearner, ErrTooManyLearners, ErrBadPeerURL,
		errNotLeaderRetry, errNotMember, errStaleTerm, errTermAhead, errRequestOutOfBounds,
		context.DeadlineExceeded, context.Canceled,
	}
	byText := make(map[string]error, len(list))
	for _, err := range list {
		byText[err.Error()] = err
	}
	return byText
}()

// wireText is the text under which an error crosses the peer port.
func wireText(err error) string {
	for text, known := range wireErrors {
		if errors.Is(err, known) {
			return text
		}
	}
	return err.Error()
}

func fromWire(text string) error {
	if text == "" {
		return nil
	}
	if err, ok := wireErrors[text]; ok {
		return err
	}
	return errors.New(text)
}
