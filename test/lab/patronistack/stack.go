package patronistack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"quorate/test/lab"
	"quorate/test/lab/haapi"
)

// Stack is a running cluster.
type Stack struct {
	haapi.API
	o       Options
	bin     string
	members map[*lab.Host]member
}

// Start brings everything up and returns when the router's primary port takes writes and every other host follows. The lab's end stops it all.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	s := &Stack{o: o, bin: bin, members: map[*lab.Host]member{}}
	s.API = haapi.API{Client: o.Router, Hosts: o.Hosts, Target: s.Target()}
	for _, h := range o.Hosts {
		if err := s.prepare(h); err != nil {
			return nil, err
		}
		if err := s.StartHost(h); err != nil {
			return nil, err
		}
	}
	if err := s.StartRouter(); err != nil {
		return nil, err
	}
	return s, s.AwaitHealthy(ctx)
}

// prepare makes the host's folders and writes its configuration.
func (s *Stack) prepare(h *lab.Host) error {
	run, err1 := h.MkdirFor("postgres", "run", 0o755)
	_, err2 := h.MkdirFor("postgres", "etcd", 0o700)
	database, err3 := h.DatabaseDir(s.o.DiskMB)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	m := member{Options: s.o, Host: h, Bin: s.bin, Data: filepath.Join(database, "data"), Run: run}
	s.members[h] = m
	text, err := render(patroniConfig, m)
	if err != nil {
		return err
	}
	return os.WriteFile(configPath(h), text, 0o644)
}

func configPath(h *lab.Host) string { return filepath.Join(h.Dir(), "patroni.yml") }

// StartHost starts etcd and Patroni on a host on which they do not run, as a boot does.
func (s *Stack) StartHost(h *lab.Host) error {
	if err := s.StartStore(h); err != nil {
		return err
	}
	return s.StartAgent(h)
}

// StartAgent starts Patroni alone.
func (s *Stack) StartAgent(h *lab.Host) error {
	_, err := h.Start(lab.Spec{Name: "patroni", Args: []string{"patroni", configPath(h)}, User: "postgres"})
	return err
}

// StartStore starts etcd alone; what it held is still there.
func (s *Stack) StartStore(h *lab.Host) error {
	var initial []string
	for _, peer := range s.o.Hosts {
		initial = append(initial, fmt.Sprintf("%s=http://%s", peer.Name, peer.Addr(peerPort)))
	}
	client, peer := "http://"+h.Addr(clientPort), "http://"+h.Addr(peerPort)
	_, err := h.Start(lab.Spec{Name: "etcd", User: "postgres", Args: []string{
		s.o.Store, "--name", h.Name, "--data-dir", filepath.Join(h.Dir(), "etcd"),
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
		"--initial-cluster", strings.Join(initial, ","), "--logger", "zap", "--enable-v2",
	}})
	return err
}

// StartRouter starts HAProxy.
func (s *Stack) StartRouter() error {
	text, err := render(haproxyConfig, map[string]any{"Listeners": []listener{
		{s.o, "primary", primaryPort}, {s.o, "replica", replicaPort},
	}})
	if err != nil {
		return err
	}
	path := filepath.Join(s.o.Router.Dir(), "haproxy.cfg")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	_, err = s.o.Router.Start(lab.Spec{Name: "haproxy", Args: []string{"haproxy", "-db", "-f", path}})
	return err
}

// Target is the connection string for clients: the router's primary port.
func (s *Stack) Target() string {
	return fmt.Sprintf("host=%s port=%d user=postgres password=postgres database=postgres sslmode=disable", s.o.Router.IP(), primaryPort)
}

// Direct is the connection string to the host's own PostgreSQL over TCP, past the router.
func (s *Stack) Direct(h *lab.Host) string {
	return fmt.Sprintf("host=%s port=%d user=postgres password=postgres database=postgres sslmode=disable", h.IP(), postgresPort)
}

// Local is the connection string to the host's PostgreSQL over its UNIX socket.
func (s *Stack) Local(h *lab.Host) string {
	return fmt.Sprintf("host=%s port=%d user=postgres database=postgres", s.members[h].Run, postgresPort)
}

// Agent picks the process whose death the failover manager must survive.
func (s *Stack) Agent() lab.Role { return lab.Program("patroni") }
