package main

import (
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/internal/config"
	"quorate/internal/freeport"
)

// startEtcd runs an etcd that has the old API, and gives its URL.
func startEtcd(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("etcd is not installed")
	}
	client, peer := "http://"+freeport.Addr(t), "http://"+freeport.Addr(t)
	cmd := exec.Command(bin, "--data-dir", t.TempDir(), "--enable-v2", "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer, "--log-level", "error")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(client + "/v2/keys/")
		if err == nil {
			resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusOK:
				return client
			case http.StatusNotFound:
				t.Skip("this etcd does not have the v2 API any more")
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("etcd does not come up: %v", err)
		}
	}
}

// A word that is a member or the cluster finds the cluster in the store, when no member answers at the address that is configured.
func TestDiscoverByTheFirstArgument(t *testing.T) {
	etcd := startEtcd(t)
	put(t, etcd+"/v2/keys/service/demo/members/a", `{"api_url":"http://10.0.0.1:8008/patroni"}`)
	s := &session{app: &app{}, hint: "demo", cfg: &config.Client{Namespace: "/service", Etcd: &config.Etcd{API: 2, Endpoints: []string{etcd}}}}
	if urls, err := s.discover(t.Context()); err != nil || !slices.Equal(urls, []string{"http://10.0.0.1:8008/patroni"}) {
		t.Errorf("%v, %v", urls, err)
	}
	s.hint = "a"
	if urls, err := s.discover(t.Context()); err == nil {
		t.Errorf("%v", urls)
	}
}

// Members are found in an etcd by its v2 API, as the section etcd asks for, past a host that is down.
func TestDiscoverV2(t *testing.T) {
	etcd := startEtcd(t)
	for name, value := range map[string]string{"a": `{"api_url":"http://10.0.0.1:8008/patroni"}`, "b": `{"api_url":"http://10.0.0.2:8008/patroni"}`, "c": "broken"} {
		put(t, etcd+"/v2/keys/service/demo/members/"+name, value)
	}
	s := &session{app: &app{}, scope: "demo", cfg: &config.Client{
		Namespace: "/service", Etcd: &config.Etcd{API: 2, Endpoints: []string{"http://" + freeport.Addr(t), etcd}},
	}}
	urls, err := s.discover(t.Context())
	slices.Sort(urls)
	if want := []string{"http://10.0.0.1:8008/patroni", "http://10.0.0.2:8008/patroni"}; err != nil || !slices.Equal(urls, want) {
		t.Errorf("%v, %v", urls, err)
	}
	s.scope = "other"
	if _, err := s.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "Key not found") {
		t.Errorf("an unknown cluster: %v", err)
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
