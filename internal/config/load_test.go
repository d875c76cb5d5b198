package config_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/internal/config"
)

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadFile(t *testing.T) {
	path := write(t, t.TempDir(), "q.yml", base)
	c, _, err := config.Load(config.LoadOptions{Path: path, Env: map[string]string{"PATRONI_NAME": "n7"}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "n7" || c.Scope != "demo" {
		t.Errorf("name %s, scope %s", c.Name, c.Scope)
	}
}

// A folder's files are merged in the order of their names, whatever order they were made in; others are left alone.
func TestLoadFolder(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "20-over.yaml", "scope: later\npostgresql: {parameters: {b: 2}}\n")
	write(t, dir, "10-base.yml", base+"log: {level: DEBUG}\n")
	write(t, dir, "30.yml.disabled", "scope: never\n")
	c, _, err := config.Load(config.LoadOptions{Path: dir, Env: map[string]string{}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	if c.Scope != "later" || c.Log.Level != "DEBUG" || c.PostgreSQL.DataDir != "/data" {
		t.Errorf("%+v", c)
	}
	if at := c.At("postgresql.parameters.b").String(); at != filepath.Join(dir, "20-over.yaml")+":2" {
		t.Errorf("the parameter stands at %s", at)
	}
}

func TestLoadEnvironment(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yml")
	text := map[string]string{"PATRONI_CONFIGURATION": base, "PATRONI_NAME": "ignored beside it"}
	c, _, err := config.Load(config.LoadOptions{Path: missing, Env: text, Host: testHost()})
	if err != nil || c.Name != "pg1" {
		t.Errorf("PATRONI_CONFIGURATION: %+v, %v", c, err)
	}
	alone := map[string]string{"PATRONI_SCOPE": "s", "PATRONI_POSTGRESQL_DATA_DIR": "/d"}
	c, _, err = config.Load(config.LoadOptions{Path: missing, Env: alone, Host: testHost()})
	if err != nil || c.Scope != "s" || c.PostgreSQL.DataDir != "/d" {
		t.Errorf("variables alone: %+v, %v", c, err)
	}
}

func TestLoadNothing(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yml")
	for _, path := range []string{missing, t.TempDir()} {
		_, _, err := config.Load(config.LoadOptions{Path: path, Env: map[string]string{"HOME": "/"}, Host: testHost()})
		if !errors.Is(err, config.ErrNotFound) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestIsVariable(t *testing.T) {
	for name, want := range map[string]bool{
		"PATH": false, "PATRONI_SUPERUSER_PASSWORD": true, "QUORATE_GOSSIP_SECRET": true, "PATRONICTL_CONFIG_FILE": false,
	} {
		if config.IsVariable(name) != want {
			t.Errorf("%s: want %t", name, want)
		}
	}
}

func TestCheckFiles(t *testing.T) {
	dir := t.TempDir()
	there := write(t, dir, "there.crt", "x")
	text := base + "restapi: {certfile: " + there + ", keyfile: " + dir + "/missing.key}\n"
	text = strings.Replace(text, "data_dir: /data", "data_dir: /data, bin_dir: "+dir, 1)
	c, _, err := config.Load(config.LoadOptions{Path: write(t, dir, "q.yml", text), Env: map[string]string{}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	err = c.CheckFiles()
	var all *config.Error
	if !errors.As(err, &all) || len(all.Problems) != 2 {
		t.Fatalf("got %v", err)
	}
	if p := all.Problems[0]; p.Key != "restapi.keyfile" || p.Place.Line != 3 {
		t.Errorf("got %v", p)
	}
	if p := all.Problems[1]; p.Key != "postgresql.bin_dir" || p.Place.Line != 2 {
		t.Errorf("got %v", p)
	}
}

func TestLocalHost(t *testing.T) {
	h := config.LocalHost()
	if h.Name == "" || len(h.Addresses) == 0 {
		t.Errorf("%+v", h)
	}
	if a := h.SourceTo("127.0.0.1"); !a.IsLoopback() {
		t.Errorf("the way to loopback begins at %v", a)
	}
}

// The sample is a configuration that its own host accepts; it warns of the secrets that a person has to write, and of nothing else.
func TestSample(t *testing.T) {
	c, warnings, err := config.Parse(config.Input{
		Texts: []config.Text{{Source: "sample.yml", Content: []byte(config.Sample(testHost(), "shop"))}}, Host: testHost(),
	})
	if err != nil || len(warnings) != 4 || !strings.Contains(fmt.Sprint(warnings), "gossip.secret: this is the sample's placeholder") {
		t.Fatalf("%v, %v", err, warnings)
	}
	if c.Name != "pg1" || c.Scope != "shop" || c.Address != "10.0.0.1" || c.Bootstrap.DCS["ttl"] != int64(3) {
		t.Errorf("%+v", c)
	}
}

func TestShowHidesSecrets(t *testing.T) {
	text := config.Sample(testHost(), "shop") + "etcd: {url: 'http://u:hush@h:2379'}\nlog: {dir: 'host=x password=hush'}\n"
	c, _, err := config.Parse(config.Input{Texts: []config.Text{{Source: "a.yml", Content: []byte(strings.ReplaceAll(text, "change-me", "hush"))}}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	shown := fmt.Sprint(c.Show())
	if strings.Contains(shown, "hush") {
		t.Errorf("a secret is shown: %s", shown)
	}
	for _, want := range []string{"listen:10.0.0.1:7946", "peer_port:2380", "roles:[store postgres proxy]", "username:replicator"} {
		if !strings.Contains(shown, want) {
			t.Errorf("%s is not shown: %s", want, shown)
		}
	}
}

func TestCheckPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	text := "roles: store\nrestapi: {listen: '" + l.Addr().String() + "'}\nstore: {client_port: 1, peer_port: 2}\n"
	c, _, err := config.Parse(config.Input{Texts: []config.Text{{Source: "a.yml", Content: []byte(text)}}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.CheckPorts(); err == nil || !strings.Contains(err.Error(), "a.yml:2: restapi.listen: found port") {
		t.Errorf("got %v", err)
	}
}
