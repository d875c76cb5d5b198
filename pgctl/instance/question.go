package instance

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"quorate/pgctl/postgres"
)

const statusStatement = "status"

// statusSQL asks for everything at once, as one JSON value. Two branches of a promotion in progress may disagree within one statement;
// the look that sees that fails with an error, and the next one is right.
func statusSQL(v postgres.Version) string {
	failover := "false AS failover, false AS synced"
	if v.AtLeast(17) {
		failover = "failover, synced"
	}
	walStatus := "wal_status"
	if !v.AtLeast(13) {
		walStatus = "NULL::text AS wal_status"
	}
	return strings.NewReplacer("{more}", walStatus+", "+failover, "{timeline}", timelineSQL).Replace(`
SELECT json_build_object(
 'in_recovery', r.in_recovery,
 'timeline', CASE WHEN r.in_recovery THEN 0 ELSE {timeline} END,
 'checkpoint_timeline', CASE WHEN r.in_recovery THEN (SELECT timeline_id FROM pg_control_checkpoint()) ELSE 0 END,
 'current', CASE WHEN r.in_recovery THEN NULL ELSE pg_current_wal_flush_lsn() END,
 'received', pg_last_wal_receive_lsn(), 'replayed', pg_last_wal_replay_lsn(),
 'xact_at', extract(epoch FROM pg_last_xact_replay_timestamp())::float8,
 'paused', CASE WHEN r.in_recovery THEN pg_is_wal_replay_paused() ELSE false END,
 'names', current_setting('synchronous_standby_names'), 'slot_sync', coalesce(current_setting('sync_replication_slots', true), 'off') = 'on',
 'started', extract(epoch FROM pg_postmaster_start_time())::float8, 'loaded', extract(epoch FROM pg_conf_load_time())::float8,
 'receiver', (SELECT json_build_object('pid', pid, 'status', status, 'host', sender_host, 'port', sender_port, 'slot', slot_name, 'timeline', received_tli)
   FROM pg_stat_get_wal_receiver() WHERE pid IS NOT NULL),
 'standbys', (SELECT json_agg(json_build_object('pid', pid, 'name', application_name, 'user', usename, 'addr', host(client_addr),
   'state', state, 'sync_state', sync_state, 'priority', sync_priority, 'sent', sent_lsn, 'write', write_lsn, 'flush', flush_lsn,
   'replay', replay_lsn) ORDER BY pid) FROM pg_stat_replication),
 'slots', (SELECT json_agg(json_build_object('name', slot_name, 'logical', slot_type = 'logical', 'plugin', plugin, 'database', database,
   'active', active, 'temporary', temporary, 'xmin', coalesce(xmin, catalog_xmin) IS NOT NULL, 'catalog_xmin', catalog_xmin::text::bigint, 'restart', restart_lsn,
   'confirmed', confirmed_flush_lsn, 'wal_status', wal_status, 'failover', failover, 'synced', synced) ORDER BY slot_name)
   FROM (SELECT slot_name, slot_type, plugin, database, active, temporary, xmin, catalog_xmin, restart_lsn, confirmed_flush_lsn, {more}
     FROM pg_replication_slots) AS s))
FROM (SELECT pg_is_in_recovery() AS in_recovery) AS r`)
}

// answer is the JSON of statusSQL.
type answer struct {
	InRecovery bool              `json:"in_recovery"`
	Timeline   postgres.Timeline `json:"timeline"`
	PointTL    postgres.Timeline `json:"checkpoint_timeline"`
	Current    postgres.LSN      `json:"current"`
	Received   postgres.LSN      `json:"received"`
	Replayed   postgres.LSN      `json:"replayed"`
	XactAt     float64           `json:"xact_at"`
	Paused     bool              `json:"paused"`
	Names      string            `json:"names"`
	SlotSync   bool              `json:"slot_sync"`
	Started    float64           `json:"started"`
	Loaded     float64           `json:"loaded"`
	Receiver   *struct {
		PID      int               `json:"pid"`
		Status   string            `json:"status"`
		Host     string            `json:"host"`
		Port     int               `json:"port"`
		Slot     string            `json:"slot"`
		Timeline postgres.Timeline `json:"timeline"`
	} `json:"receiver"`
	Standbys []struct {
		PID       int          `json:"pid"`
		Name      string       `json:"name"`
		User      string       `json:"user"`
		Addr      string       `json:"addr"`
		State     string       `json:"state"`
		SyncState string       `json:"sync_state"`
		Priority  int          `json:"priority"`
		Sent      postgres.LSN `json:"sent"`
		Write     postgres.LSN `json:"write"`
		Flush     postgres.LSN `json:"flush"`
		Replay    postgres.LSN `json:"replay"`
	} `json:"standbys"`
	Slots []struct {
		Name        string       `json:"name"`
		Logical     bool         `json:"logical"`
		Plugin      string       `json:"plugin"`
		Database    string       `json:"database"`
		Active      bool         `json:"active"`
		Temporary   bool         `json:"temporary"`
		Xmin        bool         `json:"xmin"`
		CatalogXmin uint32       `json:"catalog_xmin"`
		Restart     postgres.LSN `json:"restart"`
		Confirmed   postgres.LSN `json:"confirmed"`
		WALStatus   string       `json:"wal_status"`
		Failover    bool         `json:"failover"`
		Synced      bool         `json:"synced"`
	} `json:"slots"`
}

func (l *link) status(ctx context.Context) (postgres.Status, error) {
	res := l.conn.ExecPrepared(ctx, statusStatement, nil, nil, nil).Read()
	if res.Err != nil {
		return postgres.Status{}, res.Err
	}
	if len(res.Rows) != 1 || len(res.Rows[0]) != 1 {
		return postgres.Status{}, fmt.Errorf("the status query answered with %d rows", len(res.Rows))
	}
	var a answer
	if err := json.Unmarshal(res.Rows[0][0], &a); err != nil {
		return postgres.Status{}, fmt.Errorf("answer of the status query: %w", err)
	}
	st := a.status()
	st.SystemID, st.Version = l.systemID, l.version
	return st, nil
}

func (a *answer) status() postgres.Status {
	st := postgres.Status{
		InRecovery: a.InRecovery, Timeline: a.Timeline, CheckpointTimeline: a.PointTL, Current: a.Current, Received: a.Received, Replayed: a.Replayed,
		ReplayedXactAt: epoch(a.XactAt), ReplayPaused: a.Paused, SyncNames: a.Names, SlotSync: a.SlotSync, StartedAt: epoch(a.Started), ConfLoadedAt: epoch(a.Loaded),
	}
	if !a.InRecovery {
		st.Received, st.Replayed = 0, 0 // a promoted server still tells the last ones it had
	}
	st.Received = max(st.Received, st.Replayed) // one that has not streamed since its start has received nothing, and has all that it replayed
	if r := a.Receiver; r != nil {
		st.Receiver = &postgres.Receiver{PID: r.PID, Status: r.Status, Host: r.Host, Port: r.Port, Slot: r.Slot, Timeline: r.Timeline}
	}
	for _, s := range a.Standbys {
		st.Standbys = append(st.Standbys, postgres.Standby{PID: s.PID, Name: s.Name, User: s.User, Addr: s.Addr, State: s.State,
			SyncState: s.SyncState, SyncPriority: s.Priority, Sent: s.Sent, Write: s.Write, Flush: s.Flush, Replay: s.Replay})
	}
	for _, s := range a.Slots {
		st.Slots = append(st.Slots, postgres.Slot{Name: s.Name, Logical: s.Logical, Plugin: s.Plugin, Database: s.Database, Active: s.Active,
			Temporary: s.Temporary, HoldsXmin: s.Xmin, CatalogXmin: s.CatalogXmin, Restart: s.Restart, Confirmed: s.Confirmed, WALStatus: s.WALStatus, Failover: s.Failover, Synced: s.Synced})
	}
	return st
}

func epoch(s float64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(s * 1e6)).UTC()
}

// sameFolder says whether the server's data folder is the instance's.
func (i *Instance) sameFolder(path string) bool {
	a, errA := os.Stat(path)
	b, errB := os.Stat(i.opt.DataDir)
	return errA == nil && errB == nil && os.SameFile(a, b)
}
