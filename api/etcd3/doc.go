// Package etcd3 is the etcd v3 front end of the store: gRPC services, the JSON gateway and etcd's plain HTTP pages on one
// port. It translates and nothing else: it validates a request as etcd does, hands it to a Store, and gives the answer
// etcd's shape, error text and status code.
//
// What a client may rely on is etcd's published API (https://etcd.io/docs/v3.5/learning/api/ and the comments of
// rpc.proto). Three rules are this package's own:
//
//   - Trouble with leadership is always answered Unavailable, never Unknown or Internal: clients try another host on the
//     first and give up on the others, and for a failover manager to give up means to demote a healthy primary.
//   - A write whose outcome is not known is answered Unavailable "request timed out", as etcd does; the client must read
//     before it repeats.
//   - JSON errors are the union of grpc-gateway's first form (error, message, code), which etcd 3.4 and 3.5 speak, and its
//     second (code, message, details), which 3.6 speaks, so that clients of either generation find their field.
//
// The parts, one file each: validate.go and overlap.go (what a request must look like), kv.go, lease.go, cluster.go,
// maintenance.go, snapshot.go, auth.go (one service each), watch.go, watchrecv.go and watchsend.go (the watch stream),
// intercept.go and guard.go (metadata and loss of the leader), gateway.go (JSON), pages.go and health.go (plain HTTP),
// server.go and mux.go (listeners), errors.go (the table of status codes).
package etcd3
