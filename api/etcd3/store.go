package etcd3

import (
	"context"
	"io"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
)

// Store is what the front end needs of the consensus store. A request arrives validated; the store checks quota,
// permission and what only the state knows. Errors are identities of etcd's packages (etcdserver/errors, mvcc, lease,
// membership, auth) or gRPC statuses; see errors.go for the table.
type Store interface {
	Range(ctx context.Context, r *pb.RangeRequest) (*pb.RangeResponse, error)
	Put(ctx context.Context, r *pb.PutRequest) (*pb.PutResponse, error)
	DeleteRange(ctx context.Context, r *pb.DeleteRangeRequest) (*pb.DeleteRangeResponse, error)
	Txn(ctx context.Context, r *pb.TxnRequest) (*pb.TxnResponse, error)
	Compact(ctx context.Context, r *pb.CompactionRequest) (*pb.CompactionResponse, error)

	LeaseGrant(ctx context.Context, r *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error)
	LeaseRevoke(ctx context.Context, r *pb.LeaseRevokeRequest) (*pb.LeaseRevokeResponse, error)
	// LeaseRenew extends the lease by its whole TTL and returns that TTL in seconds; lease.ErrLeaseNotFound when it is gone.
	LeaseRenew(ctx context.Context, id int64) (ttl int64, err error)
	LeaseTimeToLive(ctx context.Context, r *pb.LeaseTimeToLiveRequest) (*pb.LeaseTimeToLiveResponse, error)
	LeaseLeases(ctx context.Context, r *pb.LeaseLeasesRequest) (*pb.LeaseLeasesResponse, error)

	MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error)
	MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error)
	MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error)
	MemberPromote(ctx context.Context, r *pb.MemberPromoteRequest) (*pb.MemberPromoteResponse, error)
	MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error)

	Alarm(ctx context.Context, r *pb.AlarmRequest) (*pb.AlarmResponse, error)
	Status(ctx context.Context) (*pb.StatusResponse, error)
	Defragment(ctx context.Context) error
	Hash(ctx context.Context) (uint32, error)
	HashKV(ctx context.Context, rev int64) (*pb.HashKVResponse, error)
	// Snapshot is the backend file and its size in bytes; the front end adds the sha256 trailer that clients check.
	Snapshot(ctx context.Context) (size int64, r io.ReadCloser, err error)
	MoveLeader(ctx context.Context, target uint64) error

	Watchable() mvcc.WatchableKV
	// Header carries cluster id, own member id, this node's current term and the current revision.
	Header() *pb.ResponseHeader
	// HeaderAt is Header with a revision that is known already.
	HeaderAt(rev int64) *pb.ResponseHeader
	// Leader is the leader's member id, 0 when none is known.
	Leader() uint64
	// LeaderChanged is closed at the next change of Leader; call it again for the one after.
	LeaderChanged() <-chan struct{}
	ElectionTimeout() time.Duration
	// Done is closed when the store has stopped.
	Done() <-chan struct{}
}

// AuthStore is the part of a store that keeps users and roles. A Store that does not implement it answers the Auth
// service with Unimplemented.
type AuthStore interface {
	AuthEnable(ctx context.Context, r *pb.AuthEnableRequest) (*pb.AuthEnableResponse, error)
	AuthDisable(ctx context.Context, r *pb.AuthDisableRequest) (*pb.AuthDisableResponse, error)
	AuthStatus(ctx context.Context, r *pb.AuthStatusRequest) (*pb.AuthStatusResponse, error)
	Authenticate(ctx context.Context, r *pb.AuthenticateRequest) (*pb.AuthenticateResponse, error)

	UserAdd(ctx context.Context, r *pb.AuthUserAddRequest) (*pb.AuthUserAddResponse, error)
	UserGet(ctx context.Context, r *pb.AuthUserGetRequest) (*pb.AuthUserGetResponse, error)
	UserList(ctx context.Context, r *pb.AuthUserListRequest) (*pb.AuthUserListResponse, error)
	UserDelete(ctx context.Context, r *pb.AuthUserDeleteRequest) (*pb.AuthUserDeleteResponse, error)
	UserChangePassword(ctx context.Context, r *pb.AuthUserChangePasswordRequest) (*pb.AuthUserChangePasswordResponse, error)
	UserGrantRole(ctx context.Context, r *pb.AuthUserGrantRoleRequest) (*pb.AuthUserGrantRoleResponse, error)
	UserRevokeRole(ctx context.Context, r *pb.AuthUserRevokeRoleRequest) (*pb.AuthUserRevokeRoleResponse, error)

	RoleAdd(ctx context.Context, r *pb.AuthRoleAddRequest) (*pb.AuthRoleAddResponse, error)
	RoleGet(ctx context.Context, r *pb.AuthRoleGetRequest) (*pb.AuthRoleGetResponse, error)
	RoleList(ctx context.Context, r *pb.AuthRoleListRequest) (*pb.AuthRoleListResponse, error)
	RoleDelete(ctx context.Context, r *pb.AuthRoleDeleteRequest) (*pb.AuthRoleDeleteResponse, error)
	RoleGrantPermission(ctx context.Context, r *pb.AuthRoleGrantPermissionRequest) (*pb.AuthRoleGrantPermissionResponse, error)
	RoleRevokePermission(ctx context.Context, r *pb.AuthRoleRevokePermissionRequest) (*pb.AuthRoleRevokePermissionResponse, error)
}

// Authorizer answers for requests that reach no Store method which could refuse them: watches, and the maintenance and
// membership calls that etcd keeps for root. A Store that keeps users implements it beside AuthStore; without it
// everything is permitted, as in an etcd without authentication.
type Authorizer interface {
	// RangePermitted is nil when the caller in ctx may read [key, end); end as in a RangeRequest.
	RangePermitted(ctx context.Context, key, end []byte) error
	// AdminPermitted is nil when the caller in ctx may administer the cluster.
	AdminPermitted(ctx context.Context) error
	// UserKnown is nil when the caller in ctx is a user, whichever; else auth.ErrUserEmpty or what is wrong with the token.
	UserKnown(ctx context.Context) error
	// LeasePermitted is nil when the caller in ctx may read, or change, all keys on a lease.
	LeasePermitted(ctx context.Context, id int64, change bool) error
	// WithRoot gives ctx the rights of root, for calls of this process on its own behalf.
	WithRoot(ctx context.Context) context.Context
}

// learner is implemented by a store that may be a non-voting member; such a member serves Status and serializable reads
// only, as etcd's learners do (https://etcd.io/docs/v3.5/learning/design-learner/).
type learner interface{ IsLearner() bool }
