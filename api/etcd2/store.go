package etcd2

import (
	"context"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"

	"quorate/raftstore/v2users"
)

// Request is one change of the v2 key space. The store's own type for it has the same fields, so that one converts to the
// other.
type Request struct {
	// Method is PUT, POST or DELETE.
	Method string
	// Path is absolute and clean, without the /v2/keys before it.
	Path  string
	Value string
	Dir   bool
	// Recursive is for DELETE.
	Recursive bool
	// PrevValue, PrevIndex and PrevExist are conditions; empty, zero and nil are none.
	PrevValue string
	PrevIndex uint64
	PrevExist *bool
	// TTL is how long the key lasts; nil is for ever.
	TTL *time.Duration
	// Refresh keeps the value and tells no watcher.
	Refresh bool
}

// Store is what the front end needs of the consensus store. Errors are *v2error.Error where the key space refuses, else
// identities of etcd's package etcdserver/errors.
type Store interface {
	// V2Change commits a request. The event's expirations are in cluster time, like V2Now.
	V2Change(ctx context.Context, r Request) (*v2store.Event, error)
	// V2Get reads a node; with quorum nothing acknowledged before the call is missing from it.
	V2Get(ctx context.Context, path string, recursive, sorted, quorum bool) (*v2store.Event, error)
	// V2Watch watches from an index on, 0 is from now. The watcher's channel is closed when no more events will come.
	V2Watch(path string, recursive, stream bool, since uint64) (v2store.Watcher, error)
	// V2Users are the users and roles of this API as this member has them; an error when it may not have them yet.
	V2Users(ctx context.Context) (*v2users.Users, error)
	// V2ChangeUsers commits a change of them. The error is a *v2users.Error where their rules refuse.
	V2ChangeUsers(ctx context.Context, c v2users.Change) (v2users.Result, error)
	// V2Now is cluster time; only its distance to an event's expiration means something.
	V2Now() time.Time
	// V2Stats is the key space's counters as JSON.
	V2Stats() []byte
	// RaftIndex is the index of the last log entry applied here.
	RaftIndex() uint64

	// Header carries cluster id, own member id and this node's current term.
	Header() *pb.ResponseHeader
	// Leader is the leader's member id, 0 when none is known.
	Leader() uint64
	MemberList(ctx context.Context, r *pb.MemberListRequest) (*pb.MemberListResponse, error)
	MemberAdd(ctx context.Context, r *pb.MemberAddRequest) (*pb.MemberAddResponse, error)
	MemberRemove(ctx context.Context, r *pb.MemberRemoveRequest) (*pb.MemberRemoveResponse, error)
	MemberUpdate(ctx context.Context, r *pb.MemberUpdateRequest) (*pb.MemberUpdateResponse, error)
	// Done is closed when the store has stopped.
	Done() <-chan struct{}
}
