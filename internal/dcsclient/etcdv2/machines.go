package etcdv2

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// How often etcd is asked for its members: at the start until it has answered, and then now and then.
const (
	lookFirst = 2 * time.Second
	lookAgain = time.Minute
)

// lookAround keeps the list of hosts that etcd knows, beside the configured ones, and compares their clocks.
func (c *Client) lookAround() {
	warned := ""
	for {
		pause := lookFirst
		if urls, err := c.Discover(c.ctx); err == nil {
			pause = lookAgain
			if hosts, err := c.hostsOf(urls); err == nil {
				c.mu.Lock()
				c.machines = hosts
				c.mu.Unlock()
			}
			gap, a, b := c.clockGap()
			if pair := a + b; gap >= gapWarned && pair != warned {
				warned = pair
				c.log.Warn("the clocks of etcd's hosts differ: keys of its v2 API end by them, up to so much too early", "by", gap.String(), "host", a, "other", b)
			}
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return
		}
	}
}

// Discover asks etcd for its members' client URLs.
func (c *Client) Discover(ctx context.Context) ([]string, error) {
	a, err := c.ask(ctx, request{method: http.MethodGet, path: "/machines"})
	if err != nil {
		return nil, err
	}
	var out []string
	for u := range strings.SplitSeq(text(a.Node), ",") {
		if u = strings.TrimSpace(u); u != "" {
			out = append(out, u)
		}
	}
	return out, nil
}

// gapWarned is the difference of two clocks that is worth a warning: half of the margin that the smallest ttl on an etcd leaves.
const gapWarned = time.Second

// span is what is known of a host's clock: how far it is ahead of this host's, at least and at most. Its answers carry whole seconds.
type span struct {
	host        string
	least, most time.Duration
}

// clockGap asks every host for its time, and returns the pair that is certainly furthest apart.
func (c *Client) clockGap() (time.Duration, string, string) {
	var spans []span
	for _, h := range c.hosts() {
		ctx, cancel := context.WithTimeout(c.ctx, connectTimeout)
		before := time.Now()
		a, err := c.do(ctx, h, request{method: http.MethodGet, path: "/machines"})
		after := time.Now()
		cancel()
		if date, bad := http.ParseTime(a.date); err == nil && bad == nil {
			spans = append(spans, span{h.name, date.Sub(after), date.Add(time.Second).Sub(before)})
		}
	}
	return widest(spans)
}

func widest(spans []span) (gap time.Duration, ahead, behind string) {
	for _, a := range spans {
		for _, b := range spans {
			if d := a.least - b.most; d > gap {
				gap, ahead, behind = d, a.host, b.host
			}
		}
	}
	return gap.Round(100 * time.Millisecond), ahead, behind
}
