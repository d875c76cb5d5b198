// Package relay stands between the hosts of a demonstration, so that a host can be cut off although all of them are on one machine.
//
// Each host listens on an address of its own and tells the others another one, where the relay listens. Whatever one host sends to
// another passes here and is held back while one of the two is cut off: as on a pulled cable nothing is refused and nothing ends, it just does not
// arrive, and what TCP had in flight arrives when the cable is back. Datagrams are dropped. What a host sends to itself always passes.
//
// Who sends is known of datagrams by their source address, and of connections by the process that holds the other end (Options.Owner): on the
// loopback interface all connections come from 127.0.0.1.
package relay
