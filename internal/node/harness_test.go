package node

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"quorate/internal/config"
	"quorate/internal/fence"
	"quorate/internal/freeport"
	"quorate/internal/soon"
)

// TestMain lets the test binary be the fence that a node starts: node.Options.Exe is this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "fence" {
		os.Exit(beFence(os.Args[2:]))
	}
	os.Exit(m.Run())
}

func beFence(args []string) int {
	f := flag.NewFlagSet("fence", flag.ContinueOnError)
	state, data := f.String("state-dir", "", ""), f.String("data-dir", "", "")
	if err := f.Parse(args); err != nil {
		return 2
	}
	if err := fence.Run(*state, *data, slog.New(slog.DiscardHandler), func() {}); err != nil {
		return 1
	}
	return 0
}

// patience bounds every wait; reaching it is a failure.
const patience = 60 * time.Second

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	soon.True(t, patience, what, ok)
}

// requirePostgres skips a test that starts a real server.
func requirePostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a real server, which takes seconds")
	}
	if _, err := os.Stat(binDir() + "/initdb"); err != nil {
		t.Skip("PostgreSQL's programs are not installed on this machine")
	}
	if os.Geteuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			t.Skip("PostgreSQL does not run as root, and there is no user postgres")
		}
	}
}

func binDir() string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(dirs) == 0 {
		return ""
	}
	return dirs[len(dirs)-1]
}

// site is a host on this machine: its folder and its ports.
type site struct {
	t     *testing.T
	dir   string
	ports []int
	log   *journal
}

// newSite makes a folder that PostgreSQL's user owns, with a short path: it holds sockets.
func newSite(t *testing.T) *site {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "qn")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &site{t: t, dir: dir, log: &journal{}}
	for range 7 {
		s.ports = append(s.ports, freeport.Port(t))
	}
	s.mkdir("run")
	s.own(dir)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.log.String())
		}
	})
	return s
}

func (s *site) path(elem ...string) string { return filepath.Join(append([]string{s.dir}, elem...)...) }

func (s *site) mkdir(name string) string {
	s.t.Helper()
	if err := os.Mkdir(s.path(name), 0o700); err != nil {
		s.t.Fatal(err)
	}
	s.own(s.path(name))
	return s.path(name)
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// own gives a path to the user of PostgreSQL, when the test is root.
func (s *site) own(path string) {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(path, uid, gid); err != nil {
		s.t.Fatal(err)
	}
}

// The ports of a site, by what listens there.
const (
	portClient = iota
	portPeer
	portGossip
	portREST
	portPostgres
	portPrimary
	portReplica
)

func (s *site) addr(port int) string { return "127.0.0.1:" + strconv.Itoa(s.ports[port]) }

// config is the usual configuration of a host that founds a cluster alone, with lines added to it.
func (s *site) config(more string) *config.Config {
	s.t.Helper()
	text := fmt.Sprintf(`scope: demo
name: n1
store: {data_dir: %[1]s/store, listen: 127.0.0.1, client_port: %[2]d, peer_port: %[3]d, expect: 1}
gossip: {listen: "127.0.0.1:%[4]d", join: ["127.0.0.1:%[4]d"], secret: abc}
restapi: {listen: "127.0.0.1:%[5]d", connect_address: "127.0.0.1:%[5]d"}
proxy: {listeners: [{name: primary, listen: "127.0.0.1:%[7]d", target: primary}, {name: replica, listen: "127.0.0.1:%[8]d", target: replica}]}
bootstrap: {initdb: [{encoding: UTF8}, {locale: C}]}
postgresql:
  listen: 127.0.0.1:%[6]d
  connect_address: 127.0.0.1:%[6]d
  data_dir: %[1]s/pg
  pg_hba: ["local all all scram-sha-256", "host all all all scram-sha-256", "host replication replicator all scram-sha-256"]
  authentication:
    superuser: {username: postgres, password: sup}
    replication: {username: replicator, password: rep}
  parameters: {unix_socket_directories: %[1]s/run}
`, s.dir, s.ports[0], s.ports[1], s.ports[2], s.ports[3], s.ports[4], s.ports[5], s.ports[6])
	s.write("c.yml", text+more)
	return s.load()
}

func (s *site) load(roles ...string) *config.Config {
	s.t.Helper()
	c, _, err := config.Load(config.LoadOptions{Path: s.path("c.yml"), Env: map[string]string{}, Host: config.LocalHost(), RolesFlag: roles})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// files are all paths below the folder, but for the configuration.
func (s *site) files() string {
	s.t.Helper()
	var out []string
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) != "c.yml" {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Join(out, "\n")
}

// journal keeps the log of a node.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (s *site) options(c *config.Config) Options {
	reload := func() (*config.Config, error) {
		c, _, err := config.Load(config.LoadOptions{Path: s.path("c.yml"), Env: map[string]string{}, Host: config.LocalHost()})
		return c, err
	}
	return Options{Reload: reload, Config: c, Logger: slog.New(slog.NewTextHandler(s.log, nil)), Exe: Executable(), Product: "Quorate/test"}
}

// try starts a node that is to be refused, and returns why it was.
func (s *site) try(c *config.Config) error {
	s.t.Helper()
	n, err := New(s.options(c))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return n.Run(ctx, cancel)
}

// up is a node that runs.
type up struct {
	*Node
	s    *site
	stop context.CancelFunc
	done chan error
}

// run starts a node and waits until all its parts serve. It is stopped with the test.
func (s *site) run(c *config.Config) *up { s.t.Helper(); return s.runWith(s.options(c)) }

func (s *site) runWith(o Options) *up {
	s.t.Helper()
	n, err := New(o)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	u := &up{Node: n, s: s, stop: cancel, done: make(chan error, 1)}
	ready := make(chan struct{})
	go func() { u.done <- n.Run(ctx, func() { close(ready) }) }()
	s.t.Cleanup(func() { u.end() })
	select {
	case <-ready:
	case err := <-u.done:
		u.done <- err
		s.t.Fatalf("the node did not start: %v", err)
	case <-time.After(patience):
		s.t.Fatal("the node does not become ready")
	}
	return u
}

// end stops the node in order. A second call does nothing.
func (u *up) end() {
	u.stop()
	select {
	case err, open := <-u.done:
		if open && err != nil {
			u.s.t.Errorf("the node's end: %v", err)
		}
		if open {
			close(u.done)
		}
	case <-time.After(patience):
		u.s.t.Fatal("the node does not stop")
	}
}

// sh runs one of PostgreSQL's programs as PostgreSQL's user.
func (s *site) sh(env []string, program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, filepath.Join(binDir(), program), args...)
	c.Env, c.Dir = append(os.Environ(), env...), s.dir
	asPostgres(c)
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
	return strings.TrimSpace(string(out))
}
