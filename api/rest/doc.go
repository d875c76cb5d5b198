// Package rest is the HTTP interface of a node, by default on port 8008: Patroni's REST API with its paths, codes, bodies,
// headers and rules of access, so that load balancers, patronictl, exporters and scripts made for Patroni work unchanged; and
// below /v1 an API of our own for what Patroni has no word for (the store's members, the router, decisions with their
// reasons, progress, events), described by /v1/openapi.json.
//
// The server owns no state of the cluster. It reads what the node has published ([Backend.Status], [Backend.Cluster]) and hands
// requests on. The rules of reading:
//
//   - A health answer waits for nothing: neither PostgreSQL nor the store is asked, and it is rendered once per published status.
//   - Whether this node leads is decided by the lease and the present moment, never by a remembered flag.
//   - What is asked of the store is bounded in time; where Patroni would fail, the newest known view is given, marked by the
//     headers Age and X-Quorate-Stale.
//
// And of writing:
//
//   - Access is checked in Patroni's order: allow-list, client certificate, password. Reading is open to everybody.
//   - A change of a key carries the revision on which it was decided.
//   - An action goes on when the client that asked for it goes away.
//   - Every write leaves one audit line with who, whence, what and the outcome.
//
// Where we differ from Patroni: connections are HTTP/1.1 with keep-alive and answers carry a Content-Length (Patroni: HTTP/1.0,
// closed after each answer); bodies are bounded; POST /mpp needs the same rights as every write.
//
// health.go, lag.go and tags.go are pure: values in, values out.
package rest
