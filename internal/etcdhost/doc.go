// Package etcdhost is a store host that is configured as etcd is: by its flags, its ETCD_ variables or its configuration file.
//
//	Parse (flags.go, source.go, file.go) -> Config (config.go) -> Run (host.go)
//
// What etcd's options mean here is in the table of flags.go. An option without meaning is named once in a warning; an
// unknown one is refused. Sources: https://etcd.io/docs/v3.4/op-guide/configuration/ and .../v3.5/op-guide/configuration/.
package etcdhost
