package main

import (
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"quorate/internal/config"
	"quorate/internal/ctl/direct"
	"quorate/internal/etcdsrv"
	"quorate/internal/etcdsrv/dnstest"
	"quorate/internal/etcdtest"
	"quorate/internal/freeport"
)

// A word that is a member or the cluster finds the cluster in the store, when no member answers at the address that is configured.
func TestDiscoverByTheFirstArgument(t *testing.T) {
	etcd := etcdtest.StartV2(t)
	put(t, etcd+"/v2/keys/service/demo/members/a", `{"api_url":"http://10.0.0.1:8008/patroni"}`)
	s := &session{app: &app{}, hint: "demo", cfg: &config.Client{Namespace: "/service", Etcd: &config.Etcd{API: 2, Endpoints: []string{etcd}}}}
	if v, err := s.lookUp(t.Context()); err != nil || !slices.Equal(v.URLs(), []string{"http://10.0.0.1:8008"}) {
		t.Errorf("%v, %v", v.URLs(), err)
	}
	s.hint = "a"
	if v, err := s.lookUp(t.Context()); err == nil {
		t.Errorf("%+v", v)
	}
}

// Members are found in an etcd by its v2 API, as the section etcd asks for, past a host that is down.
func TestDiscoverV2(t *testing.T) {
	etcd := etcdtest.StartV2(t)
	for name, value := range map[string]string{"a": `{"api_url":"http://10.0.0.1:8008/patroni"}`, "b": `{"api_url":"http://10.0.0.2:8008/patroni"}`, "c": "broken"} {
		put(t, etcd+"/v2/keys/service/demo/members/"+name, value)
	}
	s := &session{app: &app{}, scope: "demo", cfg: &config.Client{
		Namespace: "/service", Etcd: &config.Etcd{API: 2, Endpoints: []string{"http://" + freeport.Addr(t), etcd}},
	}}
	v, err := s.lookUp(t.Context())
	if want := []string{"http://10.0.0.1:8008", "http://10.0.0.2:8008"}; err != nil || !slices.Equal(v.URLs(), want) {
		t.Errorf("%v, %v", v.URLs(), err)
	}
	if p := v.Problems(); len(p) != 1 || !strings.Contains(p[0], "members/c") {
		t.Errorf("problems: %q", p)
	}
	s.scope = "other"
	if _, err := s.lookUp(t.Context()); err == nil || !strings.Contains(err.Error(), "knows no cluster other") {
		t.Errorf("an unknown cluster: %v", err)
	}
}

// Where only an etcd with the v2 API answers, the configuration is changed and a switchover asked for in it, unless somebody was faster.
func TestChangesV2(t *testing.T) {
	etcd := etcdtest.StartV2(t)
	for key, value := range map[string]string{
		"members/a": `{"conn_url":"postgres://10.0.0.1:5432/postgres","api_url":"http://10.0.0.1:8008/patroni","role":"primary"}`,
		"leader":    "a", "config": `{"ttl":30,"loop_wait":10}`, "failover": "{}",
	} {
		put(t, etcd+"/v2/keys/service/demo/"+key, value)
	}
	s := &session{app: &app{}, scope: "demo", cfg: &config.Client{Namespace: "/service", Etcd: &config.Etcd{API: 2, Endpoints: []string{etcd}}}}
	change := func(do func(*direct.Store) error) error { return s.inStore(t.Context(), do) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(change(func(d *direct.Store) error { return d.PatchConfig(t.Context(), map[string]any{"loop_wait": 5}) }))
	ask := direct.Handover{Leader: "a", Candidate: "b", At: "2999-01-01T00:00:00+00:00"}
	must(change(func(d *direct.Store) error { return d.AskHandover(t.Context(), ask) }))
	v, err := s.lookUp(t.Context())
	must(err)
	if shared, err := v.Config(); err != nil || shared["loop_wait"] != int64(5) || v.ScheduledSwitchover == nil || v.Leader() == nil {
		t.Errorf("%v %v %+v", shared, err, v.Cluster)
	}
	if err := change(func(d *direct.Store) error { return d.AskHandover(t.Context(), ask) }); err == nil || !strings.Contains(err.Error(), "asked for already") {
		t.Errorf("a second request: %v", err)
	}
	must(change(func(d *direct.Store) error { return d.CancelHandover(t.Context()) }))
	if v, err := s.lookUp(t.Context()); err != nil || v.HandoverPending() {
		t.Errorf("it is still asked for: %v", err)
	}
}

// The store is found by DNS, of either API; what is written beside serves while DNS does not answer.
func TestStoreBySRV(t *testing.T) {
	dns := dnstest.Start(t, map[string][]string{"_etcd-client._tcp.db.test.": {"e1.db.test. 2379"}, "_etcd-client-ssl._tcp.tls.test.": {"e1.tls.test. 2379"}})
	at := func(e config.Etcd) place {
		t.Helper()
		s := &session{app: &app{resolver: dns}, cfg: &config.Client{Etcd: &e}}
		p, err := s.storeAt(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := at(config.Etcd{API: 2, SRV: "db.test"}); p.api != 2 || !slices.Equal(p.endpoints, []string{"http://e1.db.test:2379"}) || p.tls != nil {
		t.Errorf("%+v", p)
	}
	if p := at(config.Etcd{API: 3, SRV: "tls.test"}); !slices.Equal(p.endpoints, []string{"https://e1.tls.test:2379"}) || p.tls == nil {
		t.Errorf("%+v", p)
	}
	if p := at(config.Etcd{API: 3, SRV: "none.test", Endpoints: []string{"http://10.0.0.1:2379"}}); !slices.Equal(p.endpoints, []string{"http://10.0.0.1:2379"}) {
		t.Errorf("%+v", p)
	}
	s := &session{app: &app{resolver: dns}, cfg: &config.Client{Etcd: &config.Etcd{API: 3, SRV: "none.test"}}}
	if _, err := s.storeAt(t.Context()); !errors.Is(err, etcdsrv.ErrNone) {
		t.Errorf("no store at all: %v", err)
	}
}

// The store of Quorate's own is spoken to as store.client_tls says.
func TestOwnStoreWithTLS(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.pem")
	s := &session{app: &app{}, cfg: &config.Client{StoreEndpoints: []string{"https://10.0.0.1:2379"}, StoreTLS: config.TLS{CAFile: none}}}
	if _, err := s.storeAt(t.Context()); err == nil || !strings.Contains(err.Error(), none) {
		t.Errorf("an authority that cannot be read: %v", err)
	}
	s.cfg.StoreTLS.CAFile = ""
	if p, err := s.storeAt(t.Context()); err != nil || p.tls == nil {
		t.Errorf("the system's authorities: %+v, %v", p, err)
	}
	s.cfg.StoreEndpoints = []string{"http://10.0.0.1:2379"}
	if p, err := s.storeAt(t.Context()); err != nil || p.tls != nil {
		t.Errorf("a plain store: %+v, %v", p, err)
	}
}

func put(t *testing.T, key, value string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, key, strings.NewReader(url.Values{"value": {value}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", key, resp.Status)
	}
}
