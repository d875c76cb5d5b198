package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/api/client"
)

const clusterJSON = `{"scope":"demo","pause":true,"members":[
 {"name":"pg1","role":"leader","state":"running","api_url":"http://10.0.0.1:8008/patroni","host":"10.0.0.1","port":5432,"timeline":3},
 {"name":"pg2","role":"replica","state":"streaming","api_url":"http://10.0.0.2:8008/patroni","host":"10.0.0.2","port":5432,"timeline":3,
  "lag":"unknown","receive_lag":1048576,"receive_lsn":"0/3000000","pending_restart_reason":{"max_connections":{"old_value":"100","new_value":200}},
  "tags":{"nofailover":true}}]}`

// member is a server that answers a path by a function and counts the requests.
func member(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

func answers(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, text) }
}

// dead is an address that nobody listens on.
func dead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

// hangs is a member that takes a request and never answers.
func hangs(t *testing.T) string {
	t.Helper()
	release := make(chan struct{})
	url := member(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) })
	return url
}

func TestClusterFromTheFirstThatAnswers(t *testing.T) {
	good := member(t, answers(clusterJSON))
	failing := member(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	c := client.New(client.Options{URLs: []string{dead(t), hangs(t), failing, good + "/patroni"}, Stagger: time.Millisecond})
	defer c.Close()
	got, err := c.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.From != good || got.Scope != "demo" || !got.Pause || len(got.Members) != 2 {
		t.Errorf("got %+v", got)
	}
	if l := got.Leader(); l == nil || l.Name != "pg1" {
		t.Errorf("leader %+v", l)
	}
	pg2 := got.Member("pg2")
	if pg2.Lag.Known || pg2.ReceiveLag != (client.Lag{Bytes: 1 << 20, Known: true}) || !pg2.NoFailover() {
		t.Errorf("pg2 %+v", pg2)
	}
	if r := pg2.PendingRestartReason["max_connections"]; r.OldValue != "100" || r.NewValue != "200" {
		t.Errorf("reason %+v", r)
	}
	if urls := got.URLs(); strings.Join(urls, " ") != good+" http://10.0.0.1:8008 http://10.0.0.2:8008" {
		t.Errorf("URLs %v", urls)
	}
}

func TestNobodyAnswers(t *testing.T) {
	failing := member(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no auth header received")
	})
	c := client.New(client.Options{URLs: []string{dead(t), failing}})
	defer c.Close()
	_, err := c.Cluster(t.Context())
	var status *client.StatusError
	if !errors.Is(err, client.ErrNoMember) || !errors.As(err, &status) || status.Code != http.StatusUnauthorized {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(err.Error(), "no auth header received") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("the error hides what happened: %v", err)
	}
}

func TestTimeoutOfOneMember(t *testing.T) {
	c := client.New(client.Options{URLs: []string{hangs(t)}, Timeout: 20 * time.Millisecond})
	defer c.Close()
	if _, err := c.Cluster(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWriteSendsCredentialsOnceToOneMember(t *testing.T) {
	requests := 0
	url := member(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		user, password, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		if user != "u" || password != "p" || r.Method != http.MethodPost || r.URL.Path != "/restart" || string(body) != `{"role":"replica"}` {
			t.Errorf("%s %s %s:%s %s", r.Method, r.URL, user, password, body)
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "restart failed\n")
	})
	c := client.New(client.Options{Username: "u", Password: "p"})
	defer c.Close()
	r, err := c.Do(t.Context(), url+"/patroni", http.MethodPost, "/restart", map[string]string{"role": "replica"})
	if err != nil || r.Code != http.StatusServiceUnavailable || r.Text() != "restart failed" || requests != 1 {
		t.Errorf("%+v, %v, %d requests", r, err, requests)
	}
}

// The password goes to members only: a redirect elsewhere is not followed.
func TestRedirectIsNotFollowed(t *testing.T) {
	elsewhere := member(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	url := member(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, http.StatusFound) })
	c := client.New(client.Options{URLs: []string{url}})
	defer c.Close()
	if _, err := c.Cluster(t.Context()); err == nil {
		t.Error("a redirect was taken for an answer")
	}
}

func TestHistory(t *testing.T) {
	url := member(t, answers(`[[1,83886880,"no recovery target specified","2026-01-01T00:00:00+00:00","pg2"],[2,9007199254740993,"x"]]`))
	c := client.New(client.Options{})
	defer c.Close()
	h, err := c.History(t.Context(), []string{url})
	if err != nil || len(h) != 2 || h[0][4] != "pg2" || h[1][1] != int64(9007199254740993) || len(h[1]) != 3 {
		t.Errorf("%v, %v", h, err)
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(answers(clusterJSON))
	t.Cleanup(s.Close)
	s.Config.ErrorLog = nil
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writePEM(t, ca, "CERTIFICATE", s.Certificate().Raw)
	for _, c := range []struct {
		name  string
		files client.TLSFiles
		ok    bool
	}{
		{"unknown authority", client.TLSFiles{}, false},
		{"the authority", client.TLSFiles{CACert: ca}, true},
		{"insecure", client.TLSFiles{Insecure: true}, true},
	} {
		config, err := c.files.Config()
		if err != nil {
			t.Fatal(err)
		}
		cl := client.New(client.Options{URLs: []string{s.URL}, TLS: config})
		if _, err := cl.Cluster(t.Context()); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		cl.Close()
	}
}

func TestTLSFilesThatAreWrong(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, f := range []client.TLSFiles{{CACert: empty}, {CACert: "/nonexistent"}, {CertFile: empty}, {CertFile: "/nonexistent"}} {
		if _, err := f.Config(); err == nil {
			t.Errorf("%+v was accepted", f)
		}
	}
}

func TestBase(t *testing.T) {
	for in, want := range map[string]string{
		"http://h:8008/patroni": "http://h:8008", "h:8008": "http://h:8008", "https://[::1]:1/a/b": "https://[::1]:1",
	} {
		if got := client.Base(in); got != want {
			t.Errorf("Base(%q) = %q", in, got)
		}
	}
}

func TestNoFailover(t *testing.T) {
	for tags, want := range map[string]bool{
		`{}`: false, `{"nofailover":true}`: true, `{"failover_priority":0}`: true, `{"failover_priority":"0"}`: true, `{"failover_priority":"2"}`: false,
		`{"nofailover":false,"failover_priority":"0"}`: false,
	} {
		var m client.Member
		if err := json.Unmarshal([]byte(`{"tags":`+tags+`}`), &m); err != nil {
			t.Fatal(err)
		}
		if m.NoFailover() != want {
			t.Errorf("%s: %v", tags, !want)
		}
	}
}

// FuzzCluster holds that no answer of a member brings a command down.
func FuzzCluster(f *testing.F) {
	f.Add([]byte(clusterJSON))
	f.Add([]byte(`{"members":[{"tags":{"nofailover":1},"lag":{},"scheduled_restart":{"schedule":1}}]}`))
	f.Fuzz(func(_ *testing.T, b []byte) {
		var c client.Cluster
		if json.Unmarshal(b, &c) != nil {
			return
		}
		c.URLs()
		for _, m := range c.Members {
			m.NoFailover()
		}
	})
}

// A member that cannot read the store says how old is what it tells.
func TestOldCluster(t *testing.T) {
	for age, want := range map[string]string{"7": "7", "": "?"} {
		c := client.New(client.Options{URLs: []string{member(t, func(w http.ResponseWriter, _ *http.Request) {
			if age != "" {
				w.Header().Set("Age", age)
			}
			w.Header().Set("X-Quorate-Stale", "the store cannot be read")
			_, _ = io.WriteString(w, clusterJSON)
		})}})
		defer c.Close()
		if v, err := c.Cluster(t.Context()); err != nil || v.Age != want || v.Leader().Name != "pg1" {
			t.Errorf("%q: %v %+v", age, err, v)
		}
	}
}

// Of a page the sentence is what a person reads.
func TestTextOfAPage(t *testing.T) {
	for body, want := range map[string]string{
		"<!DOCTYPE html>\n<html><body><h1>503</h1><p>DCS is &#34;away&#34;</p></body></html>\n": `DCS is "away"`,
		`{"error":{"code":"x","message":"no"}}`:                                                 "no",
		" plain <p> text\n":                                                                     "plain <p> text",
	} {
		if got := (client.Reply{Body: []byte(body)}).Text(); got != want {
			t.Errorf("%q: %q", body, got)
		}
	}
}
