package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"quorate/internal/config"
)

// agentOf is the configuration of a data host without a store, which uses the store of another site.
func (s *site) agentOf(other *site, name string) *config.Config {
	s.t.Helper()
	s.write("c.yml", fmt.Sprintf(`scope: demo
name: %[2]s
roles: [postgres]
etcd3: {hosts: "%[3]s"}
restapi: {listen: "127.0.0.1:%[4]d", connect_address: "127.0.0.1:%[4]d"}
postgresql:
  listen: 127.0.0.1:%[5]d
  connect_address: 127.0.0.1:%[5]d
  data_dir: %[1]s/pg
  authentication:
    superuser: {username: postgres, password: sup}
    replication: {username: replicator, password: rep}
  parameters: {unix_socket_directories: %[1]s/run}
`, s.dir, name, other.addr(portClient), s.ports[portREST], s.ports[portPostgres]))
	return s.load()
}

// lastWords runs a node until it ends by itself, and says why.
func (s *site) lastWords(c *config.Config) error {
	s.t.Helper()
	n, err := New(s.options(c))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return n.Run(ctx, func() {})
}

// A second member of a name that the store knows, and whose holder answers, is refused, and so is a folder of another cluster. Neither touches
// anything, and the member that is there goes on.
func TestStrangers(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	first := newSite(t)
	first.run(first.config(""))
	first.awaitPrimary()
	started := first.psql(portPrimary, "SELECT pg_postmaster_start_time()")

	namesake := newSite(t)
	conf := namesake.agentOf(first, "n1")
	before := namesake.files()
	err := namesake.try(conf)
	if !errors.Is(err, ErrNameTaken) || !strings.Contains(err.Error(), "c.yml:2") || !strings.Contains(err.Error(), first.addr(portREST)) {
		t.Errorf("a second n1: %v", err)
	}
	if after := namesake.files(); after != before {
		t.Errorf("the disk was touched:\n%s\nbefore:\n%s", after, before)
	}

	foreign := newSite(t)
	conf = foreign.agentOf(first, "n2")
	foreign.handMade("sup")
	id := systemID(foreign)
	err = foreign.lastWords(conf)
	if err == nil || !strings.Contains(err.Error(), "system ID mismatch") || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), "data_dir") {
		t.Errorf("a folder of another cluster: %v", err)
	}
	if now := systemID(foreign); now != id {
		t.Errorf("the folder is %s's now, it was %s's", now, id)
	}
	if now := first.psql(portPrimary, "SELECT pg_postmaster_start_time()"); now != started {
		t.Errorf("the member that was there was restarted: %s, it ran since %s", now, started)
	}
}
