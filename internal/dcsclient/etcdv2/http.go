package etcdv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"

	"quorate/internal/boottime"
	"quorate/internal/dcsclient"
)

// node is a key or a directory in an answer.
type node struct {
	Key           string  `json:"key"`
	Value         *string `json:"value"`
	Dir           bool    `json:"dir"`
	TTL           int64   `json:"ttl"`
	Expiration    *string `json:"expiration"`
	Nodes         []*node `json:"nodes"`
	ModifiedIndex int64   `json:"modifiedIndex"`
	CreatedIndex  int64   `json:"createdIndex"`
}

// answer is what a host said to a request.
type answer struct {
	Action string `json:"action"`
	Node   *node  `json:"node"`

	index   int64 // of the store when it answered
	cluster uint64
	term    uint64
	sent    boottime.Instant // before the request was
	date    string           // by the host's clock
}

// fault is an error that etcd answered.
type fault struct {
	Code    int    `json:"errorCode"`
	Message string `json:"message"`
	Cause   string `json:"cause"`
	Index   int64  `json:"index"`

	status int
}

func (f *fault) Error() string {
	text := strings.TrimSpace(f.Message + " " + f.Cause)
	if f.Code == 0 {
		return fmt.Sprintf("HTTP status %d: %s", f.status, text)
	}
	return fmt.Sprintf("error %d: %s", f.Code, text)
}

// The codes of etcd's errors that decide something (its package error).
const (
	codeNotFound      = 100
	codeCompareFailed = 101
	codeNotFile       = 102
	codeExists        = 105
	codeUnauthorized  = 110
	codeCleared       = 400
	codeOutdated      = 401
)

func isFault(err error, codes ...int) bool {
	var f *fault
	if !errors.As(err, &f) {
		return false
	}
	for _, c := range codes {
		if f.Code == c {
			return true
		}
	}
	return false
}

// request is one call. Query goes into the URL, form into the body.
type request struct {
	method      string
	path        string // below /v2
	query, form url.Values
}

// most bounds an answer: a cluster's keys are far below it.
const most = 64 << 20

// notSent marks an error of a request of which certainly nothing has left this host.
type notSent struct{ error }

func (e notSent) Unwrap() error { return e.error }

// do makes one request to one host. The error is a *fault, or a transport's; notSent wraps the latter where nothing was sent.
func (c *Client) do(ctx context.Context, h *host, r request) (answer, error) {
	sent := false
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent = true }})
	u := h.name + "/v2" + (&url.URL{Path: r.path}).EscapedPath()
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u, body)
	if err != nil {
		return answer{}, notSent{err}
	}
	if r.form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.opts.Username != "" {
		req.SetBasicAuth(c.opts.Username, c.opts.Password)
	}
	a := answer{sent: boottime.Now()}
	resp, err := c.http.Do(req)
	if err != nil {
		if !sent {
			err = notSent{err}
		}
		return a, err
	}
	defer resp.Body.Close()
	return a, a.read(resp)
}

// read takes an answer. One that is no JSON is no etcd's, or one without the old API.
func (a *answer) read(resp *http.Response) error {
	a.index, _ = strconv.ParseInt(resp.Header.Get("X-Etcd-Index"), 10, 64)
	a.cluster, _ = strconv.ParseUint(resp.Header.Get("X-Etcd-Cluster-Id"), 16, 64)
	a.term, _ = strconv.ParseUint(resp.Header.Get("X-Raft-Term"), 10, 64)
	a.date = resp.Header.Get("Date")
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		if resp.Request.URL.Path == "/v2/machines" {
			b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
			text := string(b)
			a.Node = &node{Value: &text}
			return err
		}
		return json.NewDecoder(io.LimitReader(resp.Body, most)).Decode(a)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	f := &fault{status: resp.StatusCode}
	if json.Unmarshal(b, f) != nil || f.Message == "" {
		f.Message = strings.TrimSpace(string(b[:min(len(b), 200)]))
	}
	if f.Index == 0 {
		f.Index = a.index
	}
	return errors.Join(f, err)
}

// kindOf says what the caller may conclude from an error of a request that has changed nothing.
func kindOf(err error) error {
	for _, kind := range []error{
		dcsclient.ErrUnavailable, dcsclient.ErrUnknownOutcome, dcsclient.ErrLeaseNotFound, dcsclient.ErrCompacted, dcsclient.ErrPermission,
		dcsclient.ErrClusterChanged, dcsclient.ErrRejected, dcsclient.ErrClosed,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	var f *fault
	switch {
	case !errors.As(err, &f):
		return dcsclient.ErrUnavailable
	case f.Code == codeUnauthorized, f.status == http.StatusUnauthorized:
		return dcsclient.ErrPermission
	case f.Code == codeOutdated:
		return dcsclient.ErrCompacted
	case f.Code == codeCleared, f.status >= 500, f.status == http.StatusTemporaryRedirect:
		return dcsclient.ErrUnavailable
	}
	return dcsclient.ErrRejected
}

// classify gives an error its kind, and where etcd does not know the old API the remedy.
func classify(err error) error {
	if err == nil {
		return nil
	}
	kind := kindOf(err)
	if errors.Is(err, kind) {
		return err
	}
	var f *fault
	if errors.As(err, &f) && f.status == http.StatusNotFound && f.Code == 0 {
		err = fmt.Errorf("%w (this etcd does not serve the v2 API: start it with --enable-v2, or write the section etcd3 in place of etcd)", err)
	}
	return fmt.Errorf("%w: %w", kind, err)
}
