package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"quorate/api/client"
)

const (
	lookEvery   = 250 * time.Millisecond
	lookTimeout = 700 * time.Millisecond
)

// member is what is shown of a host.
type member struct {
	answers  bool
	role     string // as GET /cluster has it
	state    string
	timeline int
	lag      client.Lag // of what is replayed
}

// watch asks the hosts how they are, and listens to what they decide. It asks each at its own address: a host that is cut off from the others can be seen too.
type watch struct {
	hosts []*host
	url   func(*host) string
	say   func(h *host, text string)
	http  *client.Client

	mu      sync.Mutex // guards what follows
	cluster client.Cluster
	own     map[*host]client.Status
}

func newWatch(hosts []*host, url func(*host) string, say func(*host, string)) *watch {
	return &watch{
		hosts: hosts, url: url, say: say, own: map[*host]client.Status{},
		http: client.New(client.Options{Timeout: lookTimeout}),
	}
}

// run looks until ctx ends.
func (w *watch) run(ctx context.Context) {
	defer w.http.Close()
	var all sync.WaitGroup
	for _, h := range w.hosts {
		all.Go(func() { w.follow(ctx, h) })
		all.Go(func() { w.each(ctx, func() { w.askOne(ctx, h) }) })
	}
	all.Go(func() { w.each(ctx, func() { w.askAll(ctx) }) })
	all.Wait()
}

func (w *watch) each(ctx context.Context, look func()) {
	for ctx.Err() == nil {
		look()
		sleep(ctx, lookEvery)
	}
}

// askOne asks a host about itself.
func (w *watch) askOne(ctx context.Context, h *host) {
	st, err := w.http.Status(ctx, w.url(h))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		delete(w.own, h)
		return
	}
	w.own[h] = st
}

// askAll asks for the cluster as those see it to whom nothing was done.
func (w *watch) askAll(ctx context.Context) {
	for _, h := range w.hosts {
		if !h.healthy() {
			continue
		}
		reply, err := w.ask(ctx, h)
		if err == nil {
			w.see(reply)
			return
		}
	}
}

// see takes a view of the cluster, and says what is new in it.
func (w *watch) see(c client.Cluster) {
	w.mu.Lock()
	was := w.cluster
	w.cluster = c
	w.mu.Unlock()
	for _, text := range changes(was, c) {
		w.say(nil, text)
	}
}

func (w *watch) ask(ctx context.Context, h *host) (c client.Cluster, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	reply, err := w.http.Do(ctx, w.url(h), http.MethodGet, "/cluster", nil)
	if err != nil {
		return c, err
	}
	if reply.Code != http.StatusOK {
		return c, fmt.Errorf("%s: %d", h.name, reply.Code)
	}
	err = json.Unmarshal(reply.Body, &c)
	return c, err
}

// of is what there is to show of a host: its own word about its PostgreSQL, and the cluster's about its place in it.
func (w *watch) of(h *host) member {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := member{}
	if c := w.cluster.Member(h.name); c != nil {
		m.role, m.state, m.timeline, m.lag = c.Role, c.State, c.Timeline, c.ReplayLag
	}
	own, ok := w.own[h]
	if !ok {
		return m
	}
	m.answers = true
	if own.Timeline > 0 {
		m.timeline = own.Timeline
	}
	// A host that was cut off is the only one to know what it did since.
	if h.condition() == cutOff {
		m.role, m.state, m.lag = own.Role, own.State, client.Lag{}
	}
	return m
}

// primary is the host that leads, by the view of those to whom nothing was done; nil if nobody does.
func (w *watch) primary() *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.cluster.Leader()
	if l == nil || l.State != "running" {
		return nil
	}
	for _, h := range w.hosts {
		if h.name == l.Name {
			return h
		}
	}
	return nil
}

// complete says whether one host leads and all others stream from it on its timeline, as far as the cluster knows.
func (w *watch) complete() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.cluster.Leader()
	if l == nil || l.State != "running" || len(w.cluster.Members) < len(w.hosts) {
		return false
	}
	for _, m := range w.cluster.Members {
		if !m.IsLeader() && (m.State != "streaming" || m.Timeline != l.Timeline) {
			return false
		}
	}
	return true
}

// follow reads a host's events as long as there are any, and comes back.
func (w *watch) follow(ctx context.Context, h *host) {
	for ctx.Err() == nil {
		w.stream(ctx, h)
		sleep(ctx, lookEvery)
	}
}

// decision is an event of GET /v1/events.
type decision struct {
	Reason string `json:"reason"`
	Text   string `json:"text"`
}

// stream reads server-sent events (HTML standard, section 9.2): of interest are the decisions, each on one line.
func (w *watch) stream(ctx context.Context, h *host) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url(h)+"/v1/events", nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	kind := ""
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if k, ok := strings.CutPrefix(line, "event: "); ok {
			kind = k
			continue
		}
		data, ok := strings.CutPrefix(line, "data: ")
		var d decision
		if ok && kind == "decision" && json.Unmarshal([]byte(data), &d) == nil && d.news() {
			w.say(h, d.Text)
		}
	}
}
