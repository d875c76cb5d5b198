// Package clusterbody is the body of GET /cluster: how Patroni shows a cluster by its keys. The API answers with it, and a command that no member
// answers makes it of the store's keys itself.
package clusterbody

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"quorate/internal/config/dynamic"
	"quorate/raftstore/dcs"
)

// Body is the body of /cluster.
type Body struct {
	Members    []Member    `json:"members"`
	Pause      bool        `json:"pause,omitempty"`
	Switchover *Switchover `json:"scheduled_switchover,omitempty"`
	Scope      string      `json:"scope"`
}

// Switchover is one to come.
type Switchover struct {
	At   string `json:"at"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Member is one member in /cluster. Lags are a number of bytes or "unknown"; the leader has none.
type Member struct {
	Name             string          `json:"name"`
	Role             string          `json:"role"`
	State            string          `json:"state"`
	APIURL           string          `json:"api_url"`
	Host             string          `json:"host,omitempty"`
	Port             int             `json:"port,omitempty"`
	Timeline         uint32          `json:"timeline,omitempty"`
	PendingRestart   bool            `json:"pending_restart,omitempty"`
	PendingReason    json.RawMessage `json:"pending_restart_reason,omitempty"`
	ScheduledRestart json.RawMessage `json:"scheduled_restart,omitempty"`
	Tags             map[string]any  `json:"tags,omitempty"`
	ReceiveLag       any             `json:"receive_lag,omitempty"`
	ReceiveLSN       string          `json:"receive_lsn,omitempty"`
	ReplayLag        any             `json:"replay_lag,omitempty"`
	ReplayLSN        string          `json:"replay_lsn,omitempty"`
	Lag              any             `json:"lag,omitempty"`
	LSN              string          `json:"lsn,omitempty"`
}

// New shows a view of the cluster as Patroni does (patroni/utils.py, cluster_as_json).
func New(scope string, c *dcs.Cluster) Body {
	cfg := Shared(c)
	b := Body{Scope: scope, Pause: cfg.Pause, Members: make([]Member, 0, len(c.Members))}
	for _, m := range c.Members {
		b.Members = append(b.Members, newMember(m, memberRole(c, cfg, m.Name), c.Status.Optime))
	}
	if f := c.Failover; f.ScheduledAt != "" {
		b.Switchover = &Switchover{At: f.ScheduledAt, From: f.Leader, To: f.Candidate}
	}
	return b
}

// Shared is the cluster's dynamic configuration; what cannot be read has its default.
func Shared(c *dcs.Cluster) dynamic.Config {
	raw, err := dynamic.Decode(c.Config)
	if err != nil {
		raw = nil
	}
	cfg, _ := dynamic.Parse(raw, dynamic.EtcdProfile()) // the times are not looked at
	return cfg
}

// memberRole is a member's role in the words of /cluster.
func memberRole(c *dcs.Cluster, cfg dynamic.Config, name string) string {
	standbyCluster := cfg.StandbyCluster != nil
	switch {
	case name == c.LeaderName() && standbyCluster:
		return "standby_leader"
	case name == c.LeaderName():
		return "leader"
	case standbyCluster || !ListedSync(c.Sync, name):
		return "replica"
	case cfg.SynchronousMode == dynamic.SyncQuorum:
		return "quorum_standby"
	case cfg.SynchronousMode == dynamic.SyncOn:
		return "sync_standby"
	}
	return "replica"
}

// ListedSync says whether name is a synchronous standby. Case does not matter, as it does not in synchronous_standby_names.
func ListedSync(s dcs.Sync, name string) bool {
	if s.Leader == "" {
		return false
	}
	for _, n := range s.Standbys {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func newMember(m dcs.Member, role string, optime int64) Member {
	b := Member{
		Name: m.Name, Role: role, State: m.State, APIURL: m.APIURL, Timeline: m.Timeline, Tags: m.Tags,
		PendingRestart: m.PendingRestart, PendingReason: m.PendingRestartReason, ScheduledRestart: m.ScheduledRestart,
	}
	b.Host, b.Port = connAddress(m.ConnURL)
	if role != "leader" && m.ReplicationState != "" {
		b.State = m.ReplicationState
	}
	if role == "leader" || role == "standby_leader" {
		return b
	}
	b.ReceiveLSN, b.ReceiveLag = lsnAndLag(m.ReceiveLSN, optime)
	b.ReplayLSN, b.ReplayLag = lsnAndLag(m.ReplayLSN, optime)
	b.LSN, b.Lag = lsnAndLag(m.XLogLocation, optime)
	return b
}

func lsnAndLag(lsn, optime int64) (text string, lag any) {
	if lsn == 0 {
		return "unknown", "unknown"
	}
	return fmt.Sprintf("%X/%X", lsn>>32, lsn&0xffffffff), max(0, optime-lsn)
}

// connAddress is the first host and port of a member's connection URL; "" when there is none.
func connAddress(connURL string) (host string, port int) {
	_, rest, ok := strings.Cut(connURL, "://")
	if !ok {
		return "", 0
	}
	rest, _, _ = strings.Cut(rest, "/")
	first, _, _ := strings.Cut(rest[strings.LastIndex(rest, "@")+1:], ",")
	u := url.URL{Host: first}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		port = 5432
	}
	return u.Hostname(), port
}
