// Package v2users is etcd's v2 users and roles: who may read and write which v2 keys (https://etcd.io/docs/v2.3/auth_api/). They have nothing
// to do with the users of the v3 API, as in etcd.
//
// It is pure. [Users] is a value that is never changed: applying a [Change] gives another one, the same on every member, and a [Result] for who
// asked. So each change is whole: in etcd, where the rules run before the log, two that come together can lose one.
//
// The rules, texts and odd corners are those of etcd 3.5's package v2auth.
package v2users
