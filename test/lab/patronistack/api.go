package patronistack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"quorate/test/check/writer"
	"quorate/test/lab"
)

// Primary returns the host that says of itself that it is the primary, asked from the router's host; nil when none does.
func (s *Stack) Primary(ctx context.Context) *lab.Host {
	for _, h := range s.o.Hosts {
		if status, _, err := s.call(ctx, h, http.MethodGet, "/primary", nil); err == nil && status == http.StatusOK {
			return h
		}
	}
	return nil
}

// Following says whether the host is a replica that streams from the present primary, by the word of both.
func (s *Stack) Following(ctx context.Context, h *lab.Host) bool {
	status, _, err := s.call(ctx, h, http.MethodGet, "/replica", nil)
	primary := s.Primary(ctx)
	if err != nil || status != http.StatusOK || primary == nil {
		return false
	}
	var lead struct {
		Replication []struct {
			Addr  string `json:"client_addr"`
			State string `json:"state"`
		} `json:"replication"`
	}
	_, body, err := s.call(ctx, primary, http.MethodGet, "/patroni", nil)
	if err != nil || json.Unmarshal(body, &lead) != nil {
		return false
	}
	for _, r := range lead.Replication {
		if r.Addr == h.IP() && r.State == "streaming" {
			return true
		}
	}
	return false
}

// AwaitHealthy waits until one host leads, all others follow, and the router lets writes through.
func (s *Stack) AwaitHealthy(ctx context.Context) error {
	for {
		primary := s.Primary(ctx)
		healthy := primary != nil
		for _, h := range s.o.Hosts {
			healthy = healthy && (h == primary || s.Following(ctx, h))
		}
		if healthy {
			return writer.Await(ctx, s.Target(), s.o.Router.Dial)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("patronistack: waiting for a healthy cluster: %w", ctx.Err())
		case <-time.After(poll):
		}
	}
}

// Switchover asks the primary to hand over to the given host, and returns when Patroni has answered.
func (s *Stack) Switchover(ctx context.Context, from, to *lab.Host) error {
	request, err := json.Marshal(map[string]string{"leader": from.Name, "candidate": to.Name})
	if err != nil {
		return err
	}
	status, body, err := s.call(ctx, from, http.MethodPost, "/switchover", request)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("patronistack: switchover: %d %s", status, body)
	}
	return err
}

// callTimeout bounds a question; a switchover's answer takes as long as the switchover.
const callTimeout = 2 * time.Second

func (s *Stack) call(ctx context.Context, h *lab.Host, method, path string, body []byte) (int, []byte, error) {
	if method == http.MethodGet {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTimeout)
		defer cancel()
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+h.Addr(restPort)+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: s.o.Router.Dial, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}
