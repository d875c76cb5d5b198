package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"quorate/internal/config"
)

func clientOf(t *testing.T, text string, env map[string]string) *config.Client {
	t.Helper()
	c, _, err := config.ParseClient(config.Input{Texts: []config.Text{{Source: "a.yml", Content: []byte(text)}}, Env: env, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClientMembers(t *testing.T) {
	for _, c := range []struct{ name, text, members string }{
		{"nothing", "", "http://127.0.0.1:8008"},
		{"wildcard", "restapi: {listen: '*:8010'}", "http://127.0.0.1:8010"},
		{"another host's file", "restapi: {listen: '10.9.9.9:8008', connect_address: 'node9:8008'}", "http://node9:8008 http://10.9.9.9:8008"},
		{"certificate", "restapi: {listen: '*:8008', certfile: /c}", "https://127.0.0.1:8008"},
		{
			"gossip", "restapi: {listen: '*:8011'}\ngossip: {join: [10.0.0.1, '10.0.0.2:7000'], secret: x}",
			"http://127.0.0.1:8011 http://10.0.0.1:8011 http://10.0.0.2:8011",
		},
	} {
		if got := strings.Join(clientOf(t, c.text, nil).Members, " "); got != c.members {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

func TestClientCredentials(t *testing.T) {
	c := clientOf(t, "restapi: {authentication: {username: r, password: rp}, cafile: /rca, certfile: /server}", nil)
	if c.Authentication.Username != "r" || c.CACert != "/rca" || c.CertFile != "" {
		t.Errorf("from restapi: %+v", c)
	}
	c = clientOf(t, "restapi: {authentication: {username: r, password: rp}, cafile: /rca}\nctl: {authentication: {username: c, password: cp}, cacert: /cca}", nil)
	if c.Authentication.Username != "c" || c.CACert != "/cca" {
		t.Errorf("ctl does not win: %+v", c)
	}
	c = clientOf(t, "", map[string]string{"PATRONI_CTL_USERNAME": "e", "PATRONI_CTL_PASSWORD": "ep", "PATRONI_SCOPE": "s"})
	if c.Authentication != (config.BasicAuth{Username: "e", Password: "ep"}) || c.Scope != "s" {
		t.Errorf("from the environment: %+v", c)
	}
}

func TestClientStore(t *testing.T) {
	c := clientOf(t, "etcd3: {hosts: [10.0.0.5]}\nscope: s\nnamespace: db", nil)
	if c.Etcd == nil || c.Etcd.API != 3 || c.Namespace != "/db" || len(c.StoreEndpoints) != 0 {
		t.Errorf("%+v", c)
	}
	c = clientOf(t, "store: {client_port: 2400}\ngossip: {join: [10.0.0.2], secret: x}", nil)
	if got := strings.Join(c.StoreEndpoints, " "); c.Etcd != nil || !strings.Contains(got, "http://10.0.0.2:2400") {
		t.Errorf("%+v", c)
	}
	for _, files := range []string{"certfile: /m, keyfile: /k, cafile: /ca", "cafile: /ca"} {
		c = clientOf(t, "store: {client_tls: {"+files+"}}\ngossip: {join: [10.0.0.2], secret: x}", nil)
		if got := strings.Join(c.StoreEndpoints, " "); got != "https://127.0.0.1:2379 https://10.0.0.2:2379" || c.StoreTLS.CAFile != "/ca" {
			t.Errorf("%s: %s %+v", files, got, c.StoreTLS)
		}
	}
}

// A store that a command names counts beside a host's own file, whose section store would win otherwise.
func TestClientEtcdFirst(t *testing.T) {
	path := write(t, t.TempDir(), "own.yml", "scope: s\nstore: {client_port: 2400}\ngossip: {join: [10.0.0.2], secret: x}")
	env := map[string]string{"PATRONI_ETCD3_HOST": "10.0.0.9:2379"}
	for _, first := range []bool{false, true} {
		c, _, err := config.LoadClient(config.LoadOptions{Path: path, Env: env, EtcdFirst: first})
		if err != nil || (c.Etcd != nil) != first || (len(c.StoreEndpoints) == 0) != first {
			t.Errorf("first %v: %+v, %v", first, c, err)
		}
	}
}

func TestLoadClientWithoutAnything(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.yml")
	c, _, err := config.LoadClient(config.LoadOptions{Path: none, Env: map[string]string{}})
	if err != nil || c.Members[0] != "http://127.0.0.1:8008" {
		t.Errorf("%+v, %v", c, err)
	}
	broken := write(t, t.TempDir(), "b.yml", "ctl: 5")
	var all *config.Error
	if _, _, err := config.LoadClient(config.LoadOptions{Path: broken, Env: map[string]string{}}); !errors.As(err, &all) {
		t.Errorf("got %v", err)
	}
}
