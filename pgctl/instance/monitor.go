package instance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/postgres"
)

// Sample is one look at the server.
type Sample struct {
	// Asked is the moment before the question was sent: Status is not older than that.
	Asked boottime.Instant
	// Err says why there is no answer; Status is then the last one that there was, as of StatusAt.
	Err      error
	Status   postgres.Status
	StatusAt boottime.Instant // zero: this postmaster has not answered yet
	// PID is the postmaster that the supervisor had at that moment, 0 for none.
	PID int
	// Port is where that postmaster takes connections; without one, where the next one will.
	Port int
	// Starting says that the server refused because it is starting up, shutting down, or not consistent yet: it lives.
	Starting bool
	// Failures counts the looks in a row without an answer.
	Failures int
}

// Age is how old the status is at now.
func (s Sample) Age(now boottime.Instant) time.Duration { return now.Sub(s.StatusAt) }

// MonitorOptions say how often to look and whom to tell.
type MonitorOptions struct {
	Interval time.Duration // between two looks; 0: one second
	// Timeout bounds one look, connecting included; 0: two seconds. A server that hangs costs this long and is reported.
	Timeout time.Duration
	// OnSample gets each sample, the newest last. It must not block.
	OnSample func(Sample)
}

// Monitor looks at one server, over and over, on a connection of its own that it keeps. It costs the server one prepared
// statement per look.
type Monitor struct {
	inst *Instance
	opt  MonitorOptions
	log  *slog.Logger
	poke chan struct{}

	mu     sync.Mutex // guards newest
	newest Sample

	// The rest belongs to Run.
	awaited  int // the starting postmaster whose readiness is waited for
	link     *link
	pending  pendingCache
	timeline timelineCache
}

// NewMonitor makes a monitor of the instance's server. It begins with Run.
func (i *Instance) NewMonitor(o MonitorOptions) *Monitor {
	if o.Interval <= 0 {
		o.Interval = time.Second
	}
	if o.Timeout <= 0 {
		o.Timeout = 2 * time.Second
	}
	return &Monitor{inst: i, opt: o, log: i.log.With("part", "monitor"), poke: make(chan struct{}, 1)}
}

// Run looks until the context ends.
func (m *Monitor) Run(ctx context.Context) {
	defer func() { m.drop() }()
	t := time.NewTicker(m.opt.Interval)
	defer t.Stop()
	for {
		m.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-m.poke:
		case <-t.C:
		}
	}
}

// Poke asks for a look now. It does not wait for it.
func (m *Monitor) Poke() {
	select {
	case m.poke <- struct{}{}:
	default:
	}
}

// Newest is the last sample.
func (m *Monitor) Newest() Sample {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.newest
}

func (m *Monitor) look(ctx context.Context) {
	asked := boottime.Now()
	bounded, cancel := context.WithTimeout(ctx, m.opt.Timeout)
	defer cancel()
	pid, err := m.inst.opt.Supervisor.Running(bounded)
	if err != nil {
		pid = m.Newest().PID // the supervisor is out of reach: that says nothing about the server
	}
	st, err := m.ask(bounded)
	if ctx.Err() != nil {
		return
	}
	m.inst.metrics.sample(err)
	s := m.Newest()
	if isStarting(err) {
		m.pokeWhenReady(pid)
	}
	if pid != s.PID { // another postmaster, or none: what the former one said is over
		s.Status, s.StatusAt = postgres.Status{}, 0
	}
	s.Asked, s.Err, s.Starting, s.PID, s.Port = asked, err, isStarting(err), pid, m.inst.Port(bounded)
	if err != nil {
		m.drop()
		s.Failures++
	} else {
		if s.StatusAt.IsZero() {
			m.first(pid)
		}
		s.Status, s.StatusAt, s.Failures = st, asked, 0
	}
	m.note(s)
	m.mu.Lock()
	m.newest = s
	m.mu.Unlock()
	if m.opt.OnSample != nil {
		m.opt.OnSample(s)
	}
}

// pokeWhenReady asks for a look as soon as the postmaster, which is starting, accepts connections: a start that has taken longer than whoever
// asked for it would wait is otherwise seen up to an interval late.
func (m *Monitor) pokeWhenReady(pid int) {
	if pid == 0 || pid == m.awaited {
		return
	}
	m.awaited = pid
	m.inst.wg.Go(func() {
		if m.inst.awaitReady(m.inst.life, pid, fileSize(m.inst.LogFile())) == nil {
			m.Poke()
		}
	})
}

// first is called with the first answer of a postmaster, whoever started it: its end is waited for, and whatever starts the folder after
// that shall start a standby.
func (m *Monitor) first(pid int) {
	if pid == 0 {
		return
	}
	m.inst.watch(pid)
	if err := m.inst.atRest(); err != nil {
		m.log.Error("standby.signal could not be put in place", "err", err)
	}
}

// note logs the first look without an answer and the first with one again. That there is no answer where there is no server, or while it is
// being stopped or made, is no news.
func (m *Monitor) note(s Sample) {
	before := m.Newest()
	switch {
	case s.Err != nil && before.Failures == 0 && !s.Starting && s.PID != 0 && m.inst.Operation() == "":
		m.log.Warn("PostgreSQL does not answer", "err", s.Err)
	case s.Err == nil && before.Failures > 0:
		m.log.Info("PostgreSQL answers", "in_recovery", s.Status.InRecovery, "timeline", s.Status.Timeline)
	}
}

// codeCannotConnectNow is the server's word while it starts, stops, or is not consistent yet.
const codeCannotConnectNow = "57P03"

func isStarting(err error) bool { return sqlState(err) == codeCannotConnectNow }

// ErrWrongServer says that another server than the instance's answers at its address.
var ErrWrongServer = errors.New("another PostgreSQL answers at this address")

// ask makes sure of the connection and asks.
func (m *Monitor) ask(ctx context.Context) (postgres.Status, error) {
	if m.link == nil {
		l, err := m.inst.newLink(ctx)
		if err != nil {
			return postgres.Status{}, err
		}
		m.link = l
	}
	st, err := m.link.status(ctx)
	if err != nil {
		return st, err
	}
	if st.InRecovery {
		st.Timeline = m.timeline.get(ctx, m.inst, st)
	}
	st.Pending, err = m.pending.get(ctx, m.inst, m.link, st)
	return st, err
}

// drop ends the connection without waiting.
func (m *Monitor) drop() {
	if m.link == nil {
		return
	}
	conn := m.link.session
	m.link = nil
	m.inst.wg.Go(conn.close)
}

// link is a connection with the prepared question.
type link struct {
	*session
	systemID string
	version  postgres.Version
}

const monitorApp = "Quorate heartbeat"

func (i *Instance) newLink(ctx context.Context) (*link, error) {
	s, err := i.local(ctx, monitorApp, map[string]string{"statement_timeout": "2000"})
	if err != nil {
		return nil, err
	}
	l := &link{session: s}
	if err := l.prepare(ctx, i); err != nil {
		i.wg.Go(s.close)
		return nil, err
	}
	return l, nil
}

func (l *link) prepare(ctx context.Context, i *Instance) error {
	row, err := l.one(ctx, "SELECT system_identifier, pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('data_directory') FROM pg_catalog.pg_control_system()")
	if err != nil {
		return err
	}
	if !i.sameFolder(row[2]) {
		return fmt.Errorf("%w: its data folder is %s, not %s: give them different ports", ErrWrongServer, row[2], i.opt.DataDir)
	}
	l.systemID = row[0]
	if _, err := fmt.Sscan(row[1], &l.version); err != nil {
		return err
	}
	_, err = l.conn.Prepare(ctx, statusStatement, statusSQL(l.version), nil)
	return err
}
