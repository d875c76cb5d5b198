package quoratestack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"quorate/test/lab"
	"quorate/test/lab/haapi"
)

// Options describe one cluster. Hosts, Router and Binary are needed.
type Options struct {
	Binary string      // the built program; see Build
	Hosts  []*lab.Host // each with all roles
	Router *lab.Host   // holds the proxy role alone; clients live there too

	StoreOnly []*lab.Host // hold the store role alone

	Synchronous bool              // synchronous_mode
	Mode        string            // synchronous_mode in place of it: quorum
	DCS         map[string]string // further keys of bootstrap.dcs
	Expect      int               // store.expect; the number of hosts if zero

	// Tags are the hosts' tags by the name of the host, as a mapping of YAML in one line.
	Tags map[string]string

	// DiskMB puts each host's database on a file system of its own of that size, so that it can hang; on the machine's if zero.
	DiskMB int
	// Parameters are PostgreSQL's, added to the cluster's configuration.
	Parameters map[string]string
}

// Stack is a cluster of Quorate.
type Stack struct {
	haapi.API
	o       Options
	members map[*lab.Host]member
}

// Build builds the program into a folder that every user may enter, with the given build flags, and returns its path.
func Build(ctx context.Context, dir string, flags ...string) (string, error) {
	path := filepath.Join(dir, "quorate")
	args := append(append([]string{"build", "-o", path}, flags...), "quorate/cmd/quorate")
	out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("quoratestack: build: %w: %s", err, out)
	}
	return path, errors.Join(os.Chmod(dir, 0o755), os.Chmod(path, 0o755))
}

// New writes the configurations and starts nothing.
func New(o Options) (*Stack, error) {
	if o.Expect == 0 {
		o.Expect = len(o.Hosts) + len(o.StoreOnly)
	}
	s := &Stack{o: o, members: map[*lab.Host]member{}}
	s.API = haapi.API{Client: o.Router, Hosts: o.Hosts, Target: s.Target()}
	for _, h := range o.Hosts {
		if err := s.Configure(h, "store, postgres, proxy"); err != nil {
			return nil, err
		}
	}
	for _, h := range o.StoreOnly {
		if err := s.Configure(h, "store"); err != nil {
			return nil, err
		}
	}
	return s, s.Configure(o.Router, "proxy")
}

// Start is New, all hosts at once, and waiting until the cluster is healthy.
func Start(ctx context.Context, o Options) (*Stack, error) {
	s, err := New(o)
	if err != nil {
		return nil, err
	}
	for _, h := range slices.Concat(o.StoreOnly, o.Hosts, []*lab.Host{o.Router}) {
		if err := s.StartHost(h); err != nil {
			return nil, err
		}
	}
	return s, s.AwaitHealthy(ctx)
}

// Configure writes a host's configuration with the given roles, to be founded with as many store hosts as the options say.
func (s *Stack) Configure(h *lab.Host, roles string) error { return s.configure(h, roles, s.o.Expect) }

// ConfigureToJoin is Configure for a host that only ever joins a cluster that others have founded.
func (s *Stack) ConfigureToJoin(h *lab.Host, roles string) error { return s.configure(h, roles, 0) }

func (s *Stack) configure(h *lab.Host, roles string, expect int) error {
	database, err1 := h.DatabaseDir(s.o.DiskMB)
	run, err2 := h.MkdirFor("postgres", "run", 0o755)
	m := member{Options: s.o, Host: h, Roles: roles, Found: expect, Data: filepath.Join(database, "data"), Run: run}
	s.members[h] = m
	text, err3 := m.render()
	return errors.Join(err1, err2, err3, os.WriteFile(configPath(h), text, 0o644))
}

func configPath(h *lab.Host) string { return filepath.Join(h.Dir(), "quorate.yml") }

// StartHost starts the program on a host on which it does not run, as a boot does. Its process is the agent.
func (s *Stack) StartHost(h *lab.Host) error {
	_, err := h.Start(lab.Spec{Name: "quorate", Args: []string{s.o.Binary, "run", configPath(h)}})
	return err
}

// StartAgent starts the agent alone after its death: the same program, which finds its fence and PostgreSQL running.
func (s *Stack) StartAgent(h *lab.Host) error { return s.StartHost(h) }

// Run runs a command of the program on a host: quorate ARGS... -c its configuration.
func (s *Stack) Run(ctx context.Context, h *lab.Host, args ...string) (string, error) {
	return h.Run(ctx, lab.Spec{Args: append(append([]string{s.o.Binary}, args...), "-c", configPath(h))})
}

const credentials = "user=postgres password=postgres database=postgres sslmode=disable"

// Target is the connection string for clients: the primary port of the router beside them.
func (s *Stack) Target() string {
	return fmt.Sprintf("host=%s port=5000 %s", s.o.Router.IP(), credentials)
}

// Direct is the connection string to the host's own PostgreSQL over TCP, past all routers.
func (s *Stack) Direct(h *lab.Host) string {
	return fmt.Sprintf("host=%s port=5432 %s", h.IP(), credentials)
}

// Local is the connection string to the host's PostgreSQL over its UNIX socket.
func (s *Stack) Local(h *lab.Host) string {
	return fmt.Sprintf("host=%s port=5432 user=postgres database=postgres", s.members[h].Run)
}

// DataDir is the host's database folder.
func (s *Stack) DataDir(h *lab.Host) string { return s.members[h].Data }

// Agent picks the process whose death the failover manager must survive.
func (s *Stack) Agent() lab.Role { return lab.Agent }

// RaftLeader is the host of the store's leader; nil while there is none.
func (s *Stack) RaftLeader(ctx context.Context) *lab.Host {
	everyone := slices.Concat(s.o.Hosts, s.o.StoreOnly)
	for _, asked := range everyone {
		var answer struct {
			Members []struct {
				Name   string `json:"name"`
				Leader bool   `json:"leader"`
			} `json:"members"`
		}
		if s.Get(ctx, asked, "/v1/store/members", &answer) != nil {
			continue
		}
		for _, m := range answer.Members {
			for _, h := range everyone {
				if m.Leader && m.Name == h.Name {
					return h
				}
			}
		}
	}
	return nil
}

// LostTransactions is how many committed transactions the nodes have reported as lost, over the cluster's whole history.
func (s *Stack) LostTransactions(ctx context.Context) (int, error) {
	var answer struct {
		Losses []struct {
			Transactions int `json:"transactions"`
		} `json:"losses"`
	}
	primary := s.Primary(ctx)
	if primary == nil {
		return 0, errors.New("quoratestack: nobody is primary")
	}
	err := s.Get(ctx, primary, "/v1/history", &answer)
	n := 0
	for _, l := range answer.Losses {
		n += l.Transactions
	}
	return n, err
}
