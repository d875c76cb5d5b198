package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// answer is what one member gave.
type answer[T any] struct {
	value T
	from  string
	err   error
}

// first asks the members one after the other, each a little later than the one before, and takes the first good answer. from is the
// member that gave it.
func first[T any](ctx context.Context, c *Client, urls []string, ask func(ctx context.Context, url string) (T, error)) (value T, from string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer[T], len(urls))
	errs := []error{ErrNoMember}
	next, waiting := 0, 0
	stagger := time.NewTimer(0)
	defer stagger.Stop()
	for next < len(urls) || waiting > 0 {
		select {
		case <-stagger.C:
			if next == len(urls) {
				continue
			}
			go func(url string) {
				v, err := ask(ctx, url)
				answers <- answer[T]{v, url, err}
			}(urls[next])
			next, waiting = next+1, waiting+1
			stagger.Reset(c.o.Stagger)
		case a := <-answers:
			if a.err == nil {
				return a.value, a.from, nil
			}
			errs = append(errs, a.err)
			waiting--
			stagger.Reset(0) // It has failed: there is nothing to wait for.
		}
	}
	return value, "", errors.Join(errs...)
}

// Cluster reads /cluster from the first member that answers.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	v, from, err := first(ctx, c, c.o.URLs, func(ctx context.Context, url string) (v Cluster, err error) {
		v.Age, err = c.get(ctx, url, "/cluster", &v)
		return v, err
	})
	v.From = from
	return v, err
}

// read is get with the value as a result.
func read[T any](ctx context.Context, c *Client, url, path string) (T, error) {
	var v T
	_, err := c.get(ctx, url, path, &v)
	return v, err
}

// Status reads /patroni of one member.
func (c *Client) Status(ctx context.Context, memberURL string) (Status, error) {
	return read[Status](ctx, c, memberURL, "/patroni")
}

// FirstStatus reads /patroni of the first of these members that answers.
func (c *Client) FirstStatus(ctx context.Context, urls []string) (Status, error) {
	v, _, err := first(ctx, c, urls, c.Status)
	return v, err
}

// Config reads the shared configuration from the first of these members that answers.
func (c *Client) Config(ctx context.Context, urls []string) (json.RawMessage, error) {
	v, _, err := first(ctx, c, urls, func(ctx context.Context, url string) (json.RawMessage, error) {
		return read[json.RawMessage](ctx, c, url, "/config")
	})
	return v, err
}

// History reads the promotions from the first of these members that answers.
func (c *Client) History(ctx context.Context, urls []string) ([]HistoryLine, error) {
	v, _, err := first(ctx, c, urls, func(ctx context.Context, url string) ([]HistoryLine, error) {
		return read[[]HistoryLine](ctx, c, url, "/history")
	})
	return v, err
}

// HistoryLine is one promotion: [timeline, lsn, reason, timestamp, new leader], the last two of which may be missing.
type HistoryLine []any

// UnmarshalJSON keeps whole numbers whole.
func (h *HistoryLine) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return fmt.Errorf("line of history: %w", err)
	}
	*h = nil
	for _, r := range raw {
		var n int64
		if json.Unmarshal(r, &n) == nil {
			*h = append(*h, n)
			continue
		}
		var v any
		if err := json.Unmarshal(r, &v); err != nil {
			return fmt.Errorf("line of history: %w", err)
		}
		*h = append(*h, v)
	}
	return nil
}
