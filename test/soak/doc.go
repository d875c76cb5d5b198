// Command soak runs Patroni's own agents on three hosts, with each of their drivers for etcd, first on a real etcd and then on a store of ours that is called etcd, under
// the same faults, and compares what the agents complain of: what scripts/soak-patroni runs. Needs root and what scripts/test prepare installs.
//
// The faults come in turn: the store's leader is killed, the agent and PostgreSQL of the primary are, the store's leader is, and the lead changes hands as planned. After each
// the cluster must be whole. A complaint that only our store gives fails the run.
package main
