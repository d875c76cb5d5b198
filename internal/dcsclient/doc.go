// Package dcsclient is how a node reaches its store: etcd's v3 API over gRPC, to the store in this process, to the store
// hosts of the cluster, or to a real etcd, by one code path.
//
// It is made for a failover manager, whose mistakes come from not knowing what an error means. So:
//
//   - Every error is one of few kinds (errors.go), and each kind says what its holder may conclude.
//   - A commit is sent once. When it may have reached a store and no answer came, the error is ErrUnknownOutcome and the
//     caller reads before it decides anew; a commit that certainly did not reach one host goes to the next.
//   - Reads are linearizable. A Snapshot carries the instant before its request was sent, a keep-alive the instant before
//     its own: what follows from an answer holds from there on, however late the answer came.
//   - A keep-alive goes to every host at once and the first success counts, so that one slow or cut-off host costs
//     nothing. On each host one request is outstanding at most: a hung one does not collect a queue.
//   - A watch that ends says why and is over; the caller lists again. Nothing is resumed behind its back.
//
// Files: client.go (the hosts), endpoint.go (one of them), order.go (which to ask first), call.go (failover), load.go,
// commit.go, watch.go, lease.go, keepalive.go and discover.go (the operations), token.go (authentication), translate.go
// (types).
package dcsclient
