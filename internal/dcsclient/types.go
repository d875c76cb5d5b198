package dcsclient

import (
	"context"
	"time"

	"quorate/internal/boottime"
	"quorate/raftstore/dcs"
)

// KV is a key as it was at the revision of the Snapshot or Event that holds it.
type KV struct {
	Key   string
	Value []byte
	// CreateRevision is the revision that made the key, ModRevision the one that wrote it last, Version how many times it has
	// been written since it was made.
	CreateRevision, ModRevision, Version int64
	// Lease is the id of the lease that the key ends with; 0: it stays.
	Lease int64
}

// Snapshot is all keys with a prefix at one revision.
type Snapshot struct {
	// ClusterID is the identity of the store: revisions and terms of different ones do not compare.
	ClusterID uint64
	Revision  int64
	// Term is the consensus term of the member that answered.
	Term uint64
	// KVs is in the order of keys.
	KVs []KV
	// ReadAt lies before the request was sent: the snapshot is the truth of some moment after it.
	ReadAt boottime.Instant
}

// EventType says what happened to a key.
type EventType int

const (
	// Put is a key made or written; KV is the key after it.
	Put EventType = iota
	// Delete is a key removed, by a delete or with its lease; of KV only Key and ModRevision are set.
	Delete
)

// Event is one change of one key.
type Event struct {
	Type EventType
	KV   KV
}

// Update is what a watch delivers: the events of one or more whole revisions, in order; or, without events, the news that
// there were none up to Revision; or the reason of its end.
type Update struct {
	Events []Event
	// Revision is the one up to which the watch has now delivered everything.
	Revision int64
	// Err ends the watch: it comes last and the channel is closed after it. List again, then watch from there.
	Err error
}

// Result is the answer to a commit that was decided.
type Result struct {
	// Succeeded says whether all compares held and the transaction was applied.
	Succeeded bool
	// Revision is that of the transaction if it was applied and changed something, else that at which it was decided.
	Revision int64
	// Made is the create revision of the keys that the transaction has made. It is Revision where a transaction is one change of the store; on etcd's v2
	// API, where each key has its own, it is the leader key's.
	Made      int64
	ClusterID uint64
}

// Client is the node's store. Every method may be called from several goroutines.
type Client interface {
	// Load reads all keys with the prefix, linearizably.
	Load(ctx context.Context, prefix string) (Snapshot, error)
	// Watch delivers the changes of keys with the prefix from revision from on, without gap and without repeat, until ctx ends
	// or the client is closed (the channel is closed) or something else ends it (an Update with Err, then the channel is
	// closed). The caller reads the channel or ends ctx.
	Watch(ctx context.Context, prefix string, from int64) <-chan Update
	// Commit applies a transaction. ErrUnknownOutcome means that it may have been applied.
	Commit(ctx context.Context, txn dcs.Txn) (Result, error)
	// Grant makes a lease of a TTL of at least ttl: stores count in whole seconds, and may have a minimum.
	Grant(ctx context.Context, ttl time.Duration) (lease int64, err error)
	// KeepAlive renews a lease. It ends no earlier than ttl after sent, which lies before the request was sent.
	// ErrLeaseNotFound means that it is gone for good.
	KeepAlive(ctx context.Context, lease int64) (ttl time.Duration, sent boottime.Instant, err error)
	// Adopt takes up, and renews, a lease that a former process of this node made and a key shows; ttl is what it is to have where the store does not
	// keep that. The rest is as with KeepAlive.
	Adopt(ctx context.Context, lease int64, ttl time.Duration) (time.Duration, boottime.Instant, error)
	// Revoke ends a lease, and its keys with it. One that is gone already is no error.
	Revoke(ctx context.Context, lease int64) error
	// Close ends all calls and watches.
	Close() error
}
