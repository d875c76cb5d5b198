package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/ctl"
)

// A switchover that the leader gave up says why, beside Patroni's words.
func TestFailedSwitchoverSaysWhy(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "Switchover failed")
			return
		}
		_, _ = io.WriteString(w, `{"decisions":[{"gave_up":"pg9 is not running"},{"text":"leading"},{"text":"leading"},{"gave_up":"pg2 is not running"},{"text":"leading"}]}`)
	}))
	defer s.Close()
	var out, errs bytes.Buffer
	session := &session{app: &app{stdio: stdio{out: &out, err: &errs}, now: time.Now}, client: client.New(client.Options{})}
	c := ctl.Cluster{Cluster: client.Cluster{Members: []client.Member{{Name: "pg1", Role: "leader", APIURL: s.URL}}}}
	err := session.sendHandOver(t.Context(), c, handover{action: "switchover", leader: "pg1", candidate: "pg2"}, time.Time{})
	if err == nil || out.String() != "Switchover failed, details: 503, Switchover failed\n" || errs.String() != "pg1 gave it up: pg2 is not running\n" {
		t.Errorf("%v, %q, %q", err, &out, &errs)
	}
}

// The times of a cluster on Quorate's own store are judged as its members judge them, each by its name.
func TestCorrectionsAreNamed(t *testing.T) {
	var errs bytes.Buffer
	s := &session{app: &app{stdio: stdio{err: &errs}}, cfg: &config.Client{}}
	s.warnOfCorrections(map[string]any{"ttl": 1, "loop_wait": 0})
	if want := "Warning: loop_wait: 1 is used instead of 0: the minimum is 1\nWarning: ttl: 3 is used instead of 1: the minimum is 3\n"; errs.String() != want {
		t.Errorf("%s, and not %s", &errs, want)
	}
}

// Members are asked for a pause all at once: one that does not answer takes no other's time.
func TestPauseAsksAllAtOnce(t *testing.T) {
	asked := make(chan struct{})
	first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-asked:
		case <-r.Context().Done():
		}
		_, _ = io.WriteString(w, `{"pause":true}`)
	}))
	defer first.Close()
	second := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		_, _ = io.WriteString(w, `{}`)
	}))
	defer second.Close()
	s := &session{client: client.New(client.Options{})}
	behind := s.behind(t.Context(), []client.Member{{Name: "pg1", APIURL: first.URL}, {Name: "pg2", APIURL: second.URL}}, true, time.Minute)
	if len(behind) != 1 || behind[0] != "pg2" {
		t.Errorf("%q", behind)
	}
}
