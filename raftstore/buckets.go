package raftstore

import (
	"encoding/binary"

	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/schema"
)

// bucket is one of our own buckets beside etcd's in the backend file. etcd's ids stay below 128.
type bucket struct {
	id   backend.BucketID
	name string
}

func (b bucket) ID() backend.BucketID { return b.id }
func (b bucket) Name() []byte         { return []byte(b.name) }
func (b bucket) String() string       { return b.name }

// IsSafeRangeBucket is false: keys are rewritten, so the read buffer may hold an older value than the file.
func (b bucket) IsSafeRangeBucket() bool { return false }

var (
	// stateBucket holds the replica's position in the log and the cluster's id.
	stateBucket backend.Bucket = bucket{id: 200, name: "quorate_state"}
	// grantBucket maps a lease to the log index of its grant.
	grantBucket backend.Bucket = bucket{id: 201, name: "quorate_grants"}
	// memberBucket maps a member's id to its record.
	memberBucket backend.Bucket = bucket{id: 202, name: "quorate_members"}
	// v2Bucket holds the v2 key space and the users of the v2 API as they were when the copy was taken.
	v2Bucket backend.Bucket = bucket{id: 203, name: "quorate_v2"}
)

var (
	appliedKey = []byte("applied")
	clusterKey = []byte("cluster_id")
	v2Key      = []byte("keys")
	v2UsersKey = []byte("users")
)

// ignoredInHash says what is left out when whole backends are compared: what etcd leaves out, and what is written only when
// a copy is taken.
func ignoredInHash(bucket, key []byte) bool {
	return schema.DefaultIgnores(bucket, key) || string(bucket) == v2Bucket.String()
}

func u64Key(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func keyU64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
