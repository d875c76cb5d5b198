package gather

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"quorate/api/client"
	"quorate/internal/config/dynamic"
	"quorate/internal/doctor"
)

// memberTimeout bounds what is asked of one member.
const memberTimeout = 5 * time.Second

// cluster asks the members.
func (g *gatherer) cluster(ctx context.Context) (c doctor.Cluster) {
	seen, err := g.Client.Cluster(ctx)
	if err != nil {
		c.Err = strings.TrimPrefix(firstLine(err.Error()), client.ErrNoMember.Error()+": ")
		return c
	}
	c.Paused = seen.Pause
	if l := seen.Leader(); l != nil {
		c.Leader = l.Name
	}
	g.sharedConfig(ctx, seen, &c)
	c.Members = make([]doctor.Member, len(seen.Members))
	var wg sync.WaitGroup
	for i, m := range seen.Members {
		wg.Go(func() { c.Members[i] = g.member(ctx, m) })
	}
	if g.Config.Etcd == nil {
		wg.Go(func() { g.storeMembers(ctx, seen, &c) })
	}
	wg.Wait()
	return c
}

func (g *gatherer) sharedConfig(ctx context.Context, seen client.Cluster, c *doctor.Cluster) {
	raw, err := g.Client.Config(ctx, seen.URLs())
	var shared map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &shared)
	}
	if err != nil {
		g.missed("the shared configuration was not looked at: %v", err)
		return
	}
	eff, wrong := g.Config.Effective(shared, g.Config.Profile())
	c.Config = &eff
	c.Advice = eff.Advice(g.Config.Etcd == nil)
	for _, w := range wrong {
		c.Wrong = append(c.Wrong, correction(w))
	}
}

func correction(w dynamic.Correction) string {
	if w.Used == "" {
		return fmt.Sprintf("%s: %s is left out: %s", w.Setting, w.Found, w.Reason)
	}
	return fmt.Sprintf("%s: %s is used instead of %s: %s", w.Setting, w.Used, w.Found, w.Reason)
}

// storeMembers asks each member of the store itself: another one does not know in which state it is.
func (g *gatherer) storeMembers(ctx context.Context, seen client.Cluster, c *doctor.Cluster) {
	list, err := g.Client.StoreMembers(ctx, seen.URLs())
	if err != nil {
		c.StoreErr = firstLine(err.Error())
		return
	}
	c.Store = make([]doctor.StoreMember, len(list))
	var wg sync.WaitGroup
	for i, m := range list {
		wg.Go(func() {
			c.Store[i] = doctor.StoreMember{Name: m.Name, Learner: m.Learner, Healthy: storeAnswers(ctx, m.ClientURL)}
		})
	}
	wg.Wait()
}

// storeAnswers says whether a member is there. Whether it is in touch with a majority is the others' matter: one without it is counted by
// them. No secret is sent, so that its certificate is not looked at; and a member that wants ours is there all the same.
func storeAnswers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/health?serializable=true", nil)
	if err != nil {
		return false
	}
	c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err == nil {
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusServiceUnavailable // it has no leader, or an alarm
	}
	var alert tls.AlertError
	return errors.As(err, &alert)
}

// member asks one member's API, and its PostgreSQL.
func (g *gatherer) member(ctx context.Context, m client.Member) doctor.Member {
	ctx, cancel := context.WithTimeout(ctx, memberTimeout)
	defer cancel()
	out := doctor.Member{
		Name: m.Name, Role: m.Role, State: m.State, NoFailover: m.NoFailover(), PendingRestart: m.PendingRestart, Self: m.Name == g.Config.Name,
	}
	if m.Host != "" {
		out.Addr = net.JoinHostPort(m.Host, strconv.Itoa(m.Port))
	}
	status, err := g.Client.Status(ctx, m.APIURL)
	if err != nil {
		out.APIErr = firstLine(err.Error())
	} else {
		out.ServerVersion, out.SystemID = status.ServerVersion, status.SystemIdentifier
		out.Product = "Patroni " + status.Patroni.Version
		if p, err := g.Client.Product(ctx, m.APIURL); err == nil {
			out.Product, out.Quorate = p, true
		}
		out.Clock = g.offset(ctx, m.APIURL)
	}
	if out.Addr != "" && g.Config.Roles.Postgres {
		out.Server = g.server(ctx, out)
	}
	return out
}

// A clock is bounded by the header Date, which has whole seconds: each answer says that the other's clock was within one second at some
// moment between question and answer. Answers at different parts of a second narrow it down.
const (
	offsetTries = 6
	offsetPause = 170 * time.Millisecond
)

func (g *gatherer) offset(ctx context.Context, url string) *doctor.Offset {
	var bounds *doctor.Offset
	for range offsetTries {
		before := time.Now()
		date, err := g.Client.Date(ctx, url)
		after := time.Now()
		if err != nil {
			return bounds
		}
		bounds = narrow(bounds, before, after, date)
		select {
		case <-time.After(offsetPause):
		case <-ctx.Done():
			return bounds
		}
	}
	return bounds
}

// narrow takes one more answer into account: date lies up to a second before the other's time.
func narrow(b *doctor.Offset, before, after, date time.Time) *doctor.Offset {
	low, high := date.Sub(after), date.Add(time.Second).Sub(before)
	if b == nil {
		return &doctor.Offset{Low: low, High: high}
	}
	out := doctor.Offset{Low: max(b.Low, low), High: min(b.High, high)}
	if out.Low > out.High { // a clock was set meanwhile
		return &doctor.Offset{Low: low, High: high}
	}
	return &out
}

func firstLine(s string) string {
	for i, c := range s {
		if c == '\n' {
			rest := s[i+1:]
			if next := firstLine(rest); next != "" {
				return s[:i] + ": " + next
			}
			return s[:i]
		}
	}
	return s
}
