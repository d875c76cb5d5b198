package instance

import (
	"context"
	"time"

	"quorate/pgctl/postgres"
)

// timelineCache finds a standby's timeline. While it streams the receiver tells; otherwise it is asked for by a replication
// connection, which is made anew only when replay has moved.
type timelineCache struct {
	started time.Time // of the postmaster that the rest is about
	replay  postgres.LSN
	known   postgres.Timeline
}

func (c *timelineCache) get(ctx context.Context, i *Instance, st postgres.Status) postgres.Timeline {
	if !st.StartedAt.Equal(c.started) {
		*c = timelineCache{started: st.StartedAt}
	}
	if r := st.Receiver; r != nil && r.Timeline != 0 {
		c.known, c.replay = r.Timeline, 0
		return c.known
	}
	if c.known != 0 && c.replay == st.Replayed {
		return c.known
	}
	id, err := i.identifyLocal(ctx)
	if err != nil {
		return c.known
	}
	c.known, c.replay = id.Timeline, st.Replayed
	return c.known
}

// pendingCache knows which parameters wait for a restart. That changes only when the server read its configuration or was started, or
// when what is wanted changed.
type pendingCache struct {
	started, loaded time.Time
	wanted          string
	known           []postgres.Pending
}

func (c *pendingCache) get(ctx context.Context, i *Instance, l *link, st postgres.Status) ([]postgres.Pending, error) {
	wanted := i.argParams(l.version)
	key := postgres.Conninfo(nil)
	for _, n := range argNames {
		key = append(key, postgres.Setting{Name: n, Value: wanted[n]})
	}
	if c.wanted == key.String() && c.started.Equal(st.StartedAt) && c.loaded.Equal(st.ConfLoadedAt) {
		return c.known, nil
	}
	rows, err := l.settings(ctx)
	if err != nil {
		return nil, err
	}
	*c = pendingCache{started: st.StartedAt, loaded: st.ConfLoadedAt, wanted: key.String(), known: postgres.PendingRestart(rows, wanted, argNames)}
	return c.known, nil
}

// argParams are the parameters as they were wanted now, the postmaster's arguments included.
func (i *Instance) argParams(v postgres.Version) postgres.Params {
	i.confMu.Lock()
	defer i.confMu.Unlock()
	return i.wanted(v)
}

func (l *link) settings(ctx context.Context) ([]postgres.SettingRow, error) {
	rows, err := l.rows(ctx, `SELECT name, setting, pg_catalog.current_setting(name, true), unit, vartype, pending_restart
 FROM pg_catalog.pg_settings WHERE context = 'postmaster' OR pending_restart OR name = 'restart_after_crash' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	var out []postgres.SettingRow
	for _, r := range rows {
		out = append(out, postgres.SettingRow{Name: r[0], Setting: r[1], Current: r[2], Unit: r[3], VarType: r[4], Pending: r[5] == "t"})
	}
	return out, nil
}
