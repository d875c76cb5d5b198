package etcdv2

import (
	"context"
	"hash/fnv"
	"slices"
	"strings"

	"quorate/internal/dcsclient"
)

// clusterMask sets the ids of the v2 keys apart from those of the v3 keys of the same etcd: their indexes count differently, and terms of the two must
// not compare.
const clusterMask = 0x7632_6b65_7973_0000 // "v2keys"

// Load implements [dcsclient.Client]. It asks for consensus ("quorum"): etcd writes an entry into its log for it.
func (c *Client) Load(ctx context.Context, prefix string) (dcsclient.Snapshot, error) {
	a, err := c.ask(ctx, get(dirOf(prefix), map[string]string{"recursive": "true", "quorum": "true", "sorted": "true"}))
	if isFault(err, codeNotFound) {
		err, a.Node = nil, nil // nothing was written yet
	}
	if err != nil {
		return dcsclient.Snapshot{}, err
	}
	s := dcsclient.Snapshot{ClusterID: a.cluster ^ clusterMask, Revision: a.index, Term: a.term, ReadAt: a.sent}
	for _, n := range leaves(a.Node) {
		if strings.HasPrefix(n.Key, prefix) {
			c.answered(ctx, n.Key)
			s.KVs = append(s.KVs, c.toKV(n))
		}
	}
	slices.SortFunc(s.KVs, func(a, b dcsclient.KV) int { return strings.Compare(a.Key, b.Key) })
	c.mu.Lock()
	c.cluster = a.cluster
	c.mu.Unlock()
	return s, nil
}

// dirOf is the directory that all keys with a prefix lie in.
func dirOf(prefix string) string { return prefix[:strings.LastIndexByte(prefix, '/')+1] }

// leaves are the keys below a node.
func leaves(n *node) (out []*node) {
	switch {
	case n == nil:
	case n.Dir:
		for _, child := range n.Nodes {
			out = append(out, leaves(child)...)
		}
	default:
		out = []*node{n}
	}
	return out
}

// answered waits until this client knows whether an empty key is the one that it is writing there. Of any other its content says so at once.
func (c *Client) answered(ctx context.Context, key string) {
	h := c.holder(key)
	if h.asked == nil || h.value != "" {
		return
	}
	select {
	case <-h.asked:
	case <-ctx.Done():
	}
}

// toKV shows a key as the v3 API would: with a lease if it ends by itself, and as last changed when its content was. A renewal gives it another index,
// which is nobody's business.
func (c *Client) toKV(n *node) dcsclient.KV {
	kv := dcsclient.KV{Key: n.Key, CreateRevision: n.CreatedIndex, ModRevision: n.ModifiedIndex, Version: 1}
	if n.Value != nil {
		kv.Value = []byte(*n.Value)
	}
	if n.Expiration == nil && n.TTL == 0 {
		return kv
	}
	kv.Lease = c.strangersLease(n.Key, string(kv.Value))
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.held[n.Key]; h != nil && h.is(n) {
		kv.Lease = h.lease.id
		if h.value == string(kv.Value) && h.written != 0 {
			kv.ModRevision = h.written
		}
	}
	return kv
}

// strangers is a bit that is set in no id of a lease that Grant makes, and in all of those that stand for somebody else's.
const strangers = 1 << 62

// strangersLease stands for the lease of a key that is not held here: the same for a member's key and for the leader key with that member's name, as
// one lease holds both. They do not end in the same moment, though.
func (c *Client) strangersLease(key, value string) int64 {
	name := key
	if key == c.opts.Keys.Leader() {
		name = c.opts.Keys.Member(value)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return int64(h.Sum64()>>2) | strangers
}
