// Package dcs knows how a cluster's state lies in the store: the keys of Patroni's layout (/service/<scope>/...), the values
// in them, and the transactions by which a node changes them. It is pure: it turns key-value pairs into a Cluster and an
// intent into a Txn, and performs neither reads nor writes.
//
// The layout is Patroni's, so that its tools (patronictl, vip-manager, confd templates, exporters) read a Quorate cluster.
// Keys that only Quorate needs lie under quorate/.
package dcs
