// Package etcd2 is the etcd v2 front end of the store: /v2/keys and what belongs to it, over HTTP. It translates and nothing
// else. The v2 key space is separate from the v3 one, as it is in etcd 3.4, the last version that had both, whose behaviour
// is the model (https://etcd.io/docs/v2.3/api/); python-etcd, and with it Patroni's `etcd:` section, speaks it.
//
// Two things are better than there. A TTL runs on the cluster's time and not on wall clocks, so that hosts whose clocks
// differ agree (patroni/patroni#1018, #1564). And a node that knows no leader says so at once, with error 301, where etcd
// waits for its timeout and says 300.
//
// One thing is missing: the TTL of a directory that is there cannot be changed (error 102). etcd's own tree of keys, which the
// store runs, has lost that since 3.4.
//
// Users and roles are those of package v2users; a client names his by basic authentication. What they may is checked on the member that is
// asked, by what it has applied, as in etcd.
//
// parse.go reads a request, keys.go and watch.go answer it, present.go makes answers out of events, access.go says who may,
// members.go, stats.go and auth.go are the smaller pages.
package etcd2
