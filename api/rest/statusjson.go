package rest

import (
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"quorate/internal/boottime"
)

// statusBody is the body of /patroni and of every health check, in Patroni's order of fields.
type statusBody struct {
	State            State             `json:"state"`
	StartedAt        string            `json:"postmaster_start_time,omitempty"`
	Role             Role              `json:"role"`
	ServerVersion    int               `json:"server_version,omitempty"`
	XLog             any               `json:"xlog,omitempty"`
	SyncStandby      bool              `json:"sync_standby,omitempty"`
	QuorumStandby    bool              `json:"quorum_standby,omitempty"`
	Timeline         *uint32           `json:"timeline,omitempty"`
	ReplicationState string            `json:"replication_state,omitempty"`
	Replication      []ReplicationRow  `json:"replication,omitempty"`
	Pause            bool              `json:"pause,omitempty"`
	Unlocked         bool              `json:"cluster_unlocked,omitempty"`
	FailsafeActive   bool              `json:"failsafe_mode_is_active,omitempty"`
	LastSeen         int64             `json:"dcs_last_seen"`
	Tags             map[string]any    `json:"tags,omitempty"`
	SystemID         string            `json:"database_system_identifier,omitempty"`
	PendingRestart   bool              `json:"pending_restart,omitempty"`
	PendingReason    map[string]Change `json:"pending_restart_reason,omitempty"`
	Patroni          patroniInfo       `json:"patroni"`
	ScheduledRestart *scheduledRestart `json:"scheduled_restart,omitempty"`
	WatchdogFailed   bool              `json:"watchdog_failed,omitempty"`
	LogQueue         int               `json:"logger_queue_size,omitempty"`
	LogLost          int               `json:"logger_records_lost,omitempty"`
}

type patroniInfo struct {
	Version string `json:"version"`
	Scope   string `json:"scope"`
	Name    string `json:"name"`
}

type primaryXLog struct {
	Location uint64 `json:"location"`
}

type standbyXLog struct {
	Received   uint64  `json:"received_location"`
	Replayed   uint64  `json:"replayed_location"`
	ReplayedAt *string `json:"replayed_timestamp"`
	Paused     bool    `json:"paused"`
}

// scheduledRestart is a scheduled restart as the status and the member key show it.
type scheduledRestart struct {
	Schedule        string `json:"schedule"`
	Role            Role   `json:"role,omitempty"`
	PostgresVersion string `json:"postgres_version,omitempty"`
	Pending         bool   `json:"restart_pending,omitempty"`
	Timeout         int64  `json:"timeout,omitempty"` // seconds
}

// MarshalJSON gives the request as Patroni shows it: in the status, and in the member key as scheduled_restart.
func (r RestartRequest) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(r.shown())
	if err != nil {
		return nil, fmt.Errorf("scheduled restart: %w", err)
	}
	return b, nil
}

func (r *RestartRequest) shown() *scheduledRestart {
	if r == nil {
		return nil
	}
	return &scheduledRestart{isoTime(r.Schedule), r.Role, r.PostgresVersion, r.Pending, int64(r.Timeout / time.Second)}
}

// newStatusBody makes the body. fresh says whether the view of the cluster may still be believed.
func newStatusBody(s *NodeStatus, fresh bool) statusBody {
	b := statusBody{
		State:            s.Postgres.shown(),
		Role:             s.Postgres.Role,
		Pause:            s.PauseHolds,
		Unlocked:         !fresh || s.View.Leader == "",
		FailsafeActive:   s.Failsafe.Active,
		Tags:             s.Tags,
		SystemID:         s.Postgres.SystemID,
		PendingRestart:   len(s.PendingRestart) > 0,
		PendingReason:    s.PendingRestart,
		Patroni:          patroniInfo{s.Version, s.Scope, s.Name},
		ScheduledRestart: s.ScheduledRestart.shown(),
		WatchdogFailed:   s.WatchdogFailed,
		LogQueue:         s.LogQueue,
		LogLost:          s.LogLost,
	}
	if !s.View.LastSeen.IsZero() {
		b.LastSeen = s.View.LastSeen.Unix()
	}
	if s.Postgres.Answering {
		b.addSample(s, fresh)
	}
	return b
}

// addSample adds what only an answering PostgreSQL can tell.
func (b *statusBody) addSample(s *NodeStatus, fresh bool) {
	p := s.Postgres
	b.StartedAt = pythonTime(p.StartedAt)
	b.ServerVersion = p.ServerVersion
	b.SyncStandby = fresh && s.Sync == SyncOn
	b.QuorumStandby = fresh && s.Sync == SyncQuorum
	if p.Timeline > 0 {
		b.Timeline = &p.Timeline
	}
	b.ReplicationState = p.ReplicationState
	b.Replication = p.Replication
	if p.Role == RolePrimary {
		b.XLog = primaryXLog{p.Location}
		return
	}
	x := standbyXLog{Received: p.Received, Replayed: p.Replayed, Paused: p.ReplayPaused}
	if !p.ReplayedAt.IsZero() {
		at := pythonTime(p.ReplayedAt)
		x.ReplayedAt = &at
	}
	b.XLog = x
}

// rendered is a status body with what it was made from.
type rendered struct {
	status *NodeStatus
	fresh  bool
	body   []byte
}

// statusCache keeps the newest rendering: thousands of health checks may fall between two published statuses. Two requests that
// miss at once both render, and the last one stays: no lock is needed.
type statusCache struct{ newest atomic.Pointer[rendered] }

func (c *statusCache) body(s *NodeStatus, now boottime.Instant) ([]byte, error) {
	fresh := s.View.Fresh(now)
	if r := c.newest.Load(); r != nil && r.status == s && r.fresh == fresh {
		return r.body, nil
	}
	body, err := pythonJSON(newStatusBody(s, fresh))
	if err != nil {
		return nil, err
	}
	c.newest.Store(&rendered{s, fresh, body})
	return body, nil
}
