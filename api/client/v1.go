package client

import (
	"context"
	"time"
)

// Decision is a decision of an agent that changed something.
type Decision struct {
	At      time.Time `json:"at"`
	Reason  string    `json:"reason"`  // a code, stable between versions
	Text    string    `json:"text"`    // the sentence for people
	GaveUp  string    `json:"gave_up"` // why a switchover or failover that was asked for has been given up; "": none was
	Actions []string  `json:"actions"` // what was done, in order
}

// FailedOperation is an operation on PostgreSQL that came to nothing, and is tried again.
type FailedOperation struct {
	Kind  string    `json:"kind"` // for example "clone from pg3"
	Error string    `json:"error"`
	Count int       `json:"count"` // failures in a row
	At    time.Time `json:"at"`
}

// Why is the body of /v1/why.
type Why struct {
	Now       string           `json:"now"`              // why the last decision was made
	Failed    *FailedOperation `json:"failed_operation"` // nil: the last operation did not fail
	Decisions []Decision       `json:"decisions"`
}

// Why reads a member's last decisions, the newest last.
func (c *Client) Why(ctx context.Context, memberURL string) (Why, error) {
	return read[Why](ctx, c, memberURL, "/v1/why")
}

// SystemID is the cluster's system identifier as a host of Quorate has it from the store; "" when it does not know.
func (c *Client) SystemID(ctx context.Context, memberURL string) string {
	v, _ := read[struct {
		SystemID string `json:"system_id"`
	}](ctx, c, memberURL, "/v1/cluster")
	return v.SystemID
}

// Missing reads of a member which data hosts of the cluster have no member key, with their API's URL. Patroni's members do not tell.
func (c *Client) Missing(ctx context.Context, memberURL string) (map[string]string, error) {
	v, err := read[struct {
		Missing map[string]string `json:"missing"`
	}](ctx, c, memberURL, "/v1/cluster")
	return v.Missing, err
}

// Router is the body of /v1/router.
type Router struct {
	Scope        string           `json:"scope"`
	Term         string           `json:"term"`
	ValidSeconds float64          `json:"valid_seconds"` // negative once the table has expired
	AgeSeconds   float64          `json:"age_seconds"`
	Listeners    []RouterListener `json:"listeners"`
	Backends     []RouterBackend  `json:"backends"`
}

// RouterListener is one port of a router.
type RouterListener struct {
	Name     string `json:"name"`
	Address  string `json:"address"`
	Target   string `json:"target"`
	Balance  string `json:"balance"`
	Sessions int    `json:"sessions"`
	Held     int    `json:"held"` // clients that wait
}

// RouterBackend is one server that a router may send clients to.
type RouterBackend struct {
	Name     string   `json:"name"`
	Address  string   `json:"address"`
	Role     string   `json:"role"`
	Sync     bool     `json:"sync"`
	Running  bool     `json:"running"`
	Suspect  bool     `json:"suspect"` // failed a moment ago
	Lag      int64    `json:"lag"`     // bytes; -1 when unknown
	Sessions int      `json:"sessions"`
	LaggedBy []string `json:"kept_out_of"` // listeners whose lag limit it exceeds
}

// RouterSession is one client's connection through a router.
type RouterSession struct {
	ID       uint64  `json:"id"`
	Listener string  `json:"listener"`
	Client   string  `json:"client"`
	Backend  string  `json:"backend"`
	User     string  `json:"user"`
	Database string  `json:"database"`
	App      string  `json:"application_name"`
	Seconds  float64 `json:"seconds"`
	BytesIn  int64   `json:"bytes_in"`  // from the client
	BytesOut int64   `json:"bytes_out"` // to the client
}

// Router reads the table and the listeners of a host's router.
func (c *Client) Router(ctx context.Context, memberURL string) (Router, error) {
	return read[Router](ctx, c, memberURL, "/v1/router")
}

// RouterSessions reads the sessions of a host's router, the oldest first.
func (c *Client) RouterSessions(ctx context.Context, memberURL string) ([]RouterSession, error) {
	v, err := read[struct{ Sessions []RouterSession }](ctx, c, memberURL, "/v1/router/sessions")
	return v.Sessions, err
}
