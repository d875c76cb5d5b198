// Package etcdv2 is the node's store client over etcd's old API (v2 keys: etcd 2.3 to 3.5 with --enable-v2, or Quorate's own), for clusters whose
// agents Patroni's section `etcd` has brought together there.
//
// That API changes one key in a request, under a condition on that key, and gives each key a time to live of its own. The transactions and leases
// of [dcsclient.Client] are made from these by one rule, the same for every transaction:
//
//   - The leader key is the lock. It is made only where there is none, renewed and deleted only at the index of its last change, and its
//     createdIndex names the term.
//   - Who takes the lead makes the leader key first, and reads all other keys afterwards: where one is not as it was when the decision was made, the
//     leader key is given back. What the decision depended on and does not change is written once more as it is, so that a write of an earlier leader
//     that is still on its way finds another index. Only then the takeover has succeeded.
//   - Who writes as the leader reads all keys, writes each at the index that it has read, and reads the leader key once more. The write counts only
//     if that still is of the same term; else it is taken back.
//   - Who gives the lead up writes what the others have to know, and deletes the leader key last.
//
// So of two nodes of which one writes a key as the leader and the other takes the lead, one sees the other: the write comes before the new leader's
// reading, or the reading after it finds the new leader. What is lost beside a true transaction is that a bystander may see its parts one by one.
//
// A lease is a number in this client and the keys that were written with it, each renewed by its own request; the leader key's comes first,
// and the lease is gone when the leader key is. The end of a key is a date that the etcd host which takes the request sets by the clock on its wall: the clocks
// of etcd's hosts must agree within the margin that a lease has, a tenth of the ttl (the client warns of hosts that differ).
//
// Files: client.go (the hosts), call.go (failover), http.go (one request), load.go, watch.go, commit.go (transactions), write.go (their parts), lease.go,
// machines.go (discovery).
package etcdv2
