// Package haapi asks the failover managers of a lab's hosts by the HTTP API that Patroni and Quorate have in common, from a host where clients live.
package haapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"quorate/test/check/writer"
	"quorate/test/lab"
)

// Port is where the API listens on every host.
const Port = 8008

// API asks the hosts of one cluster.
type API struct {
	Client *lab.Host // where the questions come from
	Hosts  []*lab.Host
	Target string // the connection string of clients, for AwaitHealthy
}

// poll is how often the cluster is asked while somebody waits.
const poll = 50 * time.Millisecond

// Primary returns the host that says of itself that it is the primary; nil when none does.
func (a *API) Primary(ctx context.Context) *lab.Host {
	for _, h := range a.Hosts {
		if status, _, err := a.Call(ctx, h, http.MethodGet, "/primary", nil); err == nil && status == http.StatusOK {
			return h
		}
	}
	return nil
}

// status is what we read of GET /patroni, and of every health endpoint's body.
type status struct {
	Timeline    int `json:"timeline"`
	Replication []struct {
		Name  string `json:"application_name"`
		Addr  string `json:"client_addr"`
		State string `json:"state"`
	} `json:"replication"`
}

// Following says whether the host is a replica that streams from the present primary, by the word of both.
func (a *API) Following(ctx context.Context, h *lab.Host) bool {
	primary := a.Primary(ctx)
	return primary != nil && a.follows(ctx, h, primary) == nil
}

// follows says why the host does not follow the primary, or nil.
func (a *API) follows(ctx context.Context, h, primary *lab.Host) error {
	code, body, err := a.Call(ctx, h, http.MethodGet, "/replica", nil)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("%s is no replica: %d %s", h.Name, code, body)
	}
	var own, lead status
	if err := json.Unmarshal(body, &own); err != nil {
		return fmt.Errorf("haapi: /replica of %s: %w", h.Name, err)
	}
	if err := a.Get(ctx, primary, "/patroni", &lead); err != nil {
		return err
	}
	if err := lead.streamsTo(h.IP(), own); err != nil {
		return fmt.Errorf("%s does not follow %s: %w", h.Name, primary.Name, err)
	}
	return nil
}

// streamsTo says why the replica of that address does not follow the primary whose status this is, or nil. That the primary streams to it is not enough:
// a former primary that has log of its own is sent the old timeline up to the fork again and again, and is "streaming" for moments, until it has
// compared the two and is rewound.
func (lead status) streamsTo(addr string, replica status) error {
	if replica.Timeline != lead.Timeline {
		return fmt.Errorf("it is on timeline %d, the primary on %d", replica.Timeline, lead.Timeline)
	}
	for _, r := range lead.Replication {
		if r.Addr == addr && r.State == "streaming" {
			return nil
		}
	}
	return fmt.Errorf("nothing streams to it, but to %v", lead.Replication)
}

// SyncStandby returns a host that may be promoted without loss, by the word of the cluster's state; nil when there is none, and always in asynchronous mode.
// PostgreSQL's own word comes too early: a standby that the primary waits for is no candidate before the state says so.
func (a *API) SyncStandby(ctx context.Context) *lab.Host {
	for _, h := range a.Hosts {
		if code, _, err := a.Call(ctx, h, http.MethodGet, "/sync", nil); err == nil && code == http.StatusOK {
			return h
		}
	}
	return nil
}

// AwaitSync waits until there is a synchronous standby.
func (a *API) AwaitSync(ctx context.Context) error {
	for a.SyncStandby(ctx) == nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("haapi: waiting for a synchronous standby: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
	return nil
}

// AwaitHealthy waits until one host leads, all others follow, and clients can write. The error says what was seen last.
func (a *API) AwaitHealthy(ctx context.Context) error {
	return a.AwaitMembers(ctx, a.Hosts)
}

// AwaitMembers is AwaitHealthy with some hosts only.
func (a *API) AwaitMembers(ctx context.Context, hosts []*lab.Host) error {
	for {
		err := a.whole(ctx, hosts)
		if err == nil {
			return writer.Await(ctx, a.Target, a.Client.Dial)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("haapi: waiting for a healthy cluster: %w: %w", ctx.Err(), err)
		case <-time.After(poll):
		}
	}
}

// whole says what keeps the hosts from being one primary and its followers, or nil.
func (a *API) whole(ctx context.Context, hosts []*lab.Host) error {
	primary := a.Primary(ctx)
	if primary == nil {
		return errors.New("nobody is primary")
	}
	var errs []error
	for _, h := range hosts {
		if h != primary {
			errs = append(errs, a.follows(ctx, h, primary))
		}
	}
	return errors.Join(errs...)
}

// Switchover asks the primary to hand over to the given host, and returns when it has answered.
func (a *API) Switchover(ctx context.Context, from, to *lab.Host) error {
	request, err := json.Marshal(map[string]string{"leader": from.Name, "candidate": to.Name})
	if err != nil {
		return err
	}
	code, body, err := a.Call(ctx, from, http.MethodPost, "/switchover", request)
	if err == nil && code != http.StatusOK {
		err = fmt.Errorf("haapi: switchover: %d %s", code, body)
	}
	return err
}

// Get reads a JSON answer.
func (a *API) Get(ctx context.Context, h *lab.Host, path string, into any) error {
	code, body, err := a.Call(ctx, h, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	if code != http.StatusOK {
		return fmt.Errorf("haapi: %s of %s: %d %s", path, h.Name, code, body)
	}
	return json.Unmarshal(body, into)
}

// callTimeout bounds a question; a switchover's answer takes as long as the switchover.
const callTimeout = 2 * time.Second

// Call sends one request on a connection of its own.
func (a *API) Call(ctx context.Context, h *lab.Host, method, path string, body []byte) (int, []byte, error) {
	if method == http.MethodGet {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, fmt.Sprintf("http://%s%s", h.Addr(Port), path), bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Transport: &http.Transport{DialContext: a.Client.Dial, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}
