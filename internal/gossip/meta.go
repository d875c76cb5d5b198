package gossip

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// Meta is what a host tells of itself. All of it has to fit in memberlist.MetaMaxSize (512) bytes of JSON, so the keys are
// short, and facts that grow have no place here.
type Meta struct {
	Roles     []string `json:"r,omitempty"` // store, postgres, proxy
	Scope     string   `json:"s,omitempty"` // the PostgreSQL cluster it belongs to
	PeerAddr  string   `json:"p,omitempty"` // store members' own port, host:port
	ClientURL string   `json:"c,omitempty"` // etcd's API
	RESTURL   string   `json:"a,omitempty"` // the agent's API
	PGAddr    string   `json:"g,omitempty"` // PostgreSQL, host:port
	MemberID  uint64   `json:"m,omitempty"` // the store member's id; 0 before it has one
	StoreID   uint64   `json:"i,omitempty"` // the store cluster's id; 0 before it has one
	Founded   bool     `json:"f,omitempty"` // its data folder belongs to a store cluster
	Expect    int      `json:"e,omitempty"` // store hosts that it waits for before founding
	Zone      string   `json:"z,omitempty"` // availability zone
	Version   string   `json:"v,omitempty"` // of the program
	Started   int64    `json:"t,omitempty"` // milliseconds since 1970 by its own clock; for people, and to tell two of one name apart
	Custom    []string `json:"x,omitempty"` // key=value, for what has no field
}

// HasRole says whether the host has the role.
func (m Meta) HasRole(role string) bool { return slices.Contains(m.Roles, role) }

// encode refuses what other hosts would never get.
func (m Meta) encode() ([]byte, error) {
	p, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("gossip: encode meta: %w", err)
	}
	if len(p) > memberlist.MetaMaxSize {
		return nil, fmt.Errorf("gossip: meta has %d bytes, the most is %d: shorten names and addresses", len(p), memberlist.MetaMaxSize)
	}
	return p, nil
}

// decodeMeta reads what a host told. A newer version may tell more; something else altogether reads as nothing.
func decodeMeta(p []byte) (m Meta) {
	if err := json.Unmarshal(p, &m); err != nil {
		return Meta{}
	}
	return m
}
