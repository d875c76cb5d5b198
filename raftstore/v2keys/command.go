package v2keys

import (
	"encoding/json"
	"fmt"
	"time"
)

// The methods of a Request, by the HTTP methods that ask for them.
const (
	Put    = "PUT"
	Post   = "POST"
	Delete = "DELETE"
	// expire is the leader's own: it ends the keys whose time has come.
	expire = "EXPIRE"
)

// Request is one change of the key space. Which conditions make it which of etcd's actions is in apply.go. Its fields are those of the front end's
// request, which therefore converts to it.
type Request struct {
	Method string `json:"m"`
	// Path is absolute and without the /v2/keys before it.
	Path string `json:"p"`
	// Value is text: what is not UTF-8 in it is replaced when the request is encoded, because answers and snapshots, which are
	// JSON, could not carry it.
	Value string `json:"v,omitempty"`
	Dir   bool   `json:"d,omitempty"`
	// Recursive is for Delete.
	Recursive bool   `json:"r,omitempty"`
	PrevValue string `json:"pv,omitempty"`
	PrevIndex uint64 `json:"pi,omitempty"`
	PrevExist *bool  `json:"pe,omitempty"`
	// TTL is how long the key lasts; nil is for ever. Zero is legal and means: gone at the next tick.
	TTL *time.Duration `json:"t,omitempty"`
	// Refresh keeps the value and tells no watcher.
	Refresh bool `json:"f,omitempty"`
}

// command is a Request in the log, with the leader's time.
type command struct {
	Request
	Time clusterTime `json:"at,omitempty"`
}

// Encode makes the command that is sent to the leader.
func Encode(r Request) ([]byte, error) {
	b, err := json.Marshal(command{Request: r})
	if err != nil {
		return nil, fmt.Errorf("v2 request: %w", err)
	}
	return b, nil
}

func decode(b []byte) (command, error) {
	var c command
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("v2 command: %w", err)
	}
	return c, nil
}
