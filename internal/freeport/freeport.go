// Package freeport gives tests ports to listen on later.
package freeport

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports lie below those that Linux hands out by itself (net.ipv4.ip_local_port_range begins at 32768): between the moment in which a
// port is found free and that in which it is listened on, no connection of another test can take it.
const (
	first = 10000
	last  = 32000
)

// Port is a port of 127.0.0.1 that nobody listens on.
func Port(t testing.TB) int {
	t.Helper()
	for range 100 {
		port := first + rand.IntN(last-first)
		if l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// Addr is an address of 127.0.0.1 that nobody listens on.
func Addr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(Port(t)))
}
