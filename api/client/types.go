package client

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Cluster is the body of /cluster.
type Cluster struct {
	Scope               string               `json:"scope"`
	Members             []Member             `json:"members"`
	Pause               bool                 `json:"pause"`
	ScheduledSwitchover *ScheduledSwitchover `json:"scheduled_switchover"`
	From                string               `json:"-"` // the member that answered
	Age                 string               `json:"-"` // that of [Reply]
}

// ScheduledSwitchover is a switchover to come.
type ScheduledSwitchover struct {
	At   string `json:"at"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Member is a member in /cluster.
type Member struct {
	Name                 string                 `json:"name"`
	Role                 string                 `json:"role"` // leader, standby_leader, sync_standby, quorum_standby, replica
	State                string                 `json:"state"`
	APIURL               string                 `json:"api_url"`
	Host                 string                 `json:"host"`
	Port                 int                    `json:"port"`
	Timeline             int                    `json:"timeline"`
	PendingRestart       bool                   `json:"pending_restart"`
	PendingRestartReason map[string]ValueChange `json:"pending_restart_reason"`
	ScheduledRestart     *ScheduledRestart      `json:"scheduled_restart"`
	Tags                 map[string]any         `json:"tags"`
	ReceiveLSN           string                 `json:"receive_lsn"` // X/Y, "unknown" or "" (members older than 4.1)
	ReceiveLag           Lag                    `json:"receive_lag"`
	ReplayLSN            string                 `json:"replay_lsn"`
	ReplayLag            Lag                    `json:"replay_lag"`
	LSN                  string                 `json:"lsn"`
	Lag                  Lag                    `json:"lag"`
}

// IsLeader says whether the member holds the lead, of a standby cluster too.
func (m Member) IsLeader() bool { return strings.HasSuffix(m.Role, "leader") }

// NoFailover says whether the member may never be promoted.
func (m Member) NoFailover() bool {
	if b, ok := m.Tags["nofailover"].(bool); ok {
		return b
	}
	switch v := m.Tags["failover_priority"].(type) {
	case float64:
		return v <= 0
	case string: // as it was written in the configuration
		n, err := strconv.ParseFloat(v, 64)
		return err == nil && n <= 0
	}
	return false
}

// Leader is the member that holds the lead; nil when there is none.
func (c Cluster) Leader() *Member {
	for i := range c.Members {
		if c.Members[i].IsLeader() {
			return &c.Members[i]
		}
	}
	return nil
}

// Member is the member of a name; nil when there is none.
func (c Cluster) Member(name string) *Member {
	for i := range c.Members {
		if c.Members[i].Name == name {
			return &c.Members[i]
		}
	}
	return nil
}

// URLs are the members' API addresses, the leader's first and before all the one that gave this view.
func (c Cluster) URLs() []string {
	var out []string
	add := func(url string) {
		if url == "" {
			return
		}
		for _, u := range out {
			if u == Base(url) {
				return
			}
		}
		out = append(out, Base(url))
	}
	add(c.From)
	if l := c.Leader(); l != nil {
		add(l.APIURL)
	}
	for _, m := range c.Members {
		add(m.APIURL)
	}
	return out
}

// ValueChange is a parameter that a restart would change.
type ValueChange struct {
	OldValue string `json:"old_value"`
	NewValue string `json:"new_value"`
}

// UnmarshalJSON takes values of any type as text.
func (v *ValueChange) UnmarshalJSON(b []byte) error {
	var raw map[string]any
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("pending_restart_reason: %w", err)
	}
	text := func(key string) string {
		if raw[key] == nil {
			return ""
		}
		return fmt.Sprint(raw[key])
	}
	v.OldValue, v.NewValue = text("old_value"), text("new_value")
	return nil
}

// ScheduledRestart is a restart to come, and its conditions.
type ScheduledRestart struct {
	Schedule        string `json:"schedule"`
	PostgresVersion string `json:"postgres_version"`
	Role            string `json:"role"`
}

// Lag is a number of bytes, or unknown.
type Lag struct {
	Bytes int64
	Known bool
}

// UnmarshalJSON reads a number; everything else ("unknown") is not known.
func (l *Lag) UnmarshalJSON(b []byte) error {
	var f float64
	*l = Lag{}
	if json.Unmarshal(b, &f) == nil {
		*l = Lag{Bytes: int64(f), Known: true}
	}
	return nil
}

// Status is the body of /patroni, as far as commands need it.
type Status struct {
	State            string `json:"state"`
	Role             string `json:"role"`
	ServerVersion    int    `json:"server_version"`
	Timeline         int    `json:"timeline"`
	SystemIdentifier string `json:"database_system_identifier"`
	Pause            bool   `json:"pause"`
	PendingRestart   bool   `json:"pending_restart"`
	// PostmasterStartTime changes with every start of PostgreSQL; "" while it does not answer.
	PostmasterStartTime string `json:"postmaster_start_time"`
	Patroni             struct {
		Version string `json:"version"`
		Scope   string `json:"scope"`
		Name    string `json:"name"`
	} `json:"patroni"`
}
