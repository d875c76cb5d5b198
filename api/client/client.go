package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options say how members are reached.
type Options struct {
	// URLs are the members to ask first, as base URLs: http://10.0.0.1:8008. A path behind the port is cut off.
	URLs []string
	// Username and Password are sent with every request; empty: none are.
	Username, Password string
	TLS                *tls.Config // for https; nil: Go's defaults
	// Timeout bounds one read from one member; 5 s. Writes are bounded by their context alone.
	Timeout time.Duration
	// Stagger is the time after which a read goes to the next member too; 200 ms.
	Stagger time.Duration
}

// Client calls members. It is safe for concurrent use.
type Client struct {
	o    Options
	http *http.Client
}

// connectTimeout bounds a connect, of a write too.
const connectTimeout = 3 * time.Second

// maxBody bounds what is read of an answer.
const maxBody = 16 << 20

// ErrNoMember means that no member could be asked; it is joined with what went wrong at each.
var ErrNoMember = errors.New("no member of the cluster could be reached")

// StatusError is an answer whose code does not mean success.
type StatusError struct {
	URL  string
	Code int
	Body string
}

// Error names the member, the code and what it said.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s answered %d: %s", e.URL, e.Code, strings.TrimSpace(e.Body))
}

// New makes a client. It connects to nobody yet.
func New(o Options) *Client {
	if o.Timeout <= 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Stagger <= 0 {
		o.Stagger = 200 * time.Millisecond
	}
	urls := make([]string, len(o.URLs))
	for i, u := range o.URLs {
		urls[i] = Base(u)
	}
	o.URLs = urls
	// A host that drops packets lets nobody wait for longer than two attempts of TCP's.
	dialer := net.Dialer{Timeout: connectTimeout}
	t := &http.Transport{DialContext: dialer.DialContext, TLSClientConfig: o.TLS, MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: false}
	return &Client{o: o, http: &http.Client{
		Transport: t,
		// A member never redirects; one that does is none, and must not be sent the password.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Base is a member's URL without its path: api_url in the cluster's keys ends with /patroni.
func Base(apiURL string) string {
	scheme, rest, ok := strings.Cut(apiURL, "://")
	if !ok {
		scheme, rest = "http", apiURL
	}
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// Reply is a member's answer.
type Reply struct {
	Code int
	Body []byte
	// Age is how many seconds ago the member saw what it tells, while it cannot read the store; "" while it can, and of Patroni's members.
	Age string
}

// Text is the body as a person reads it: of an error of /v1 its message, of a page its sentence.
func (r Reply) Text() string {
	var problem struct{ Error struct{ Message string } }
	if json.Unmarshal(r.Body, &problem) == nil && problem.Error.Message != "" {
		return problem.Error.Message
	}
	text := strings.TrimSpace(string(r.Body))
	if _, page, ok := strings.Cut(text, "<p>"); ok && strings.HasPrefix(text, "<!DOCTYPE") {
		sentence, _, _ := strings.Cut(page, "</p>")
		return html.UnescapeString(sentence)
	}
	return text
}

// Do sends one request to one member. body is sent as JSON unless it is nil. An answer of any code is no error.
func (c *Client) Do(ctx context.Context, memberURL, method, path string, body any) (Reply, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return Reply{}, fmt.Errorf("encode request: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, Base(memberURL)+path, payload)
	if err != nil {
		return Reply{}, fmt.Errorf("request to %s: %w", memberURL, err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.o.Username != "" || c.o.Password != "" {
		req.SetBasicAuth(c.o.Username, c.o.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // the address stands in front already
		}
		return Reply{}, fmt.Errorf("request to %s: %w", Base(memberURL), err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return Reply{}, fmt.Errorf("answer of %s: %w", Base(memberURL), err)
	}
	r := Reply{Code: resp.StatusCode, Body: text}
	if resp.Header.Get("X-Quorate-Stale") != "" {
		r.Age = cmp.Or(resp.Header.Get("Age"), "?")
	}
	return r, nil
}

// get reads a path from one member into out. age is that of [Reply].
func (c *Client) get(ctx context.Context, memberURL, path string, out any) (age string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Timeout)
	defer cancel()
	r, err := c.Do(ctx, memberURL, http.MethodGet, path, nil)
	if err != nil {
		return "", err
	}
	if r.Code != http.StatusOK {
		return "", &StatusError{URL: Base(memberURL) + path, Code: r.Code, Body: r.Text()}
	}
	if err := json.Unmarshal(r.Body, out); err != nil {
		return "", fmt.Errorf("answer of %s: %w", Base(memberURL)+path, err)
	}
	return r.Age, nil
}
