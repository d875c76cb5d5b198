package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// StoreMember is a member of Quorate's own store in /v1/store/members.
type StoreMember struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	PeerURL   string `json:"peer_url"`
	ClientURL string `json:"client_url"`
	Learner   bool   `json:"learner"`
	Leader    bool   `json:"leader"`
	Healthy   bool   `json:"healthy"`
}

// StoreMembers reads the store's members from the first of these hosts that knows them.
func (c *Client) StoreMembers(ctx context.Context, urls []string) ([]StoreMember, error) {
	type body struct{ Members []StoreMember }
	v, _, err := first(ctx, c, urls, func(ctx context.Context, url string) (body, error) {
		return read[body](ctx, c, url, "/v1/store/members")
	})
	return v.Members, err
}

// Product is the program and its version that a member runs. A member run by Patroni has no such answer.
func (c *Client) Product(ctx context.Context, memberURL string) (string, error) {
	v, err := read[struct{ Product string }](ctx, c, memberURL, "/v1/status")
	return v.Product, err
}

// Date is a member's clock as its answers show it: in whole seconds, rounded down.
func (c *Client) Date(ctx context.Context, memberURL string) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, Base(memberURL)+"/liveness", nil)
	if err != nil {
		return time.Time{}, fmt.Errorf("request to %s: %w", memberURL, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return time.Time{}, fmt.Errorf("request to %s: %w", Base(memberURL), err)
	}
	resp.Body.Close()
	at, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		return time.Time{}, fmt.Errorf("answer of %s: its header Date: %w", Base(memberURL), err)
	}
	return at, nil
}
