package node

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// awaitRole waits for a role of the node's PostgreSQL, under a lease.
func (s *site) awaitRole(role string) {
	s.t.Helper()
	eventually(s.t, "a "+role+" that holds the lead", func() bool {
		st := s.status()
		return st.State == "running" && st.Role == role && !st.Unlocked
	})
}

// port is a port's number.
func (s *site) port(n int) int { return s.ports[n] }

func (s *site) patchConfig(body string) {
	s.t.Helper()
	if code, text := s.do("PATCH", "/config", body); code != 200 {
		s.t.Fatalf("PATCH /config: %d %s", code, text)
	}
}

// awaitRow waits until a table that was made elsewhere can be read here. The server may be down meanwhile.
func (s *site) awaitRow(table, want string) {
	s.t.Helper()
	eventually(s.t, table+" is replicated", func() bool {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		c, err := pgconn.Connect(ctx, fmt.Sprintf("host=127.0.0.1 port=%d user=postgres password=sup dbname=postgres", s.port(portPostgres)))
		if err != nil {
			return false
		}
		defer c.Close(ctx)
		r, err := c.Exec(ctx, "SELECT x FROM "+table).ReadAll()
		return err == nil && len(r) == 1 && len(r[0].Rows) == 1 && string(r[0].Rows[0][0]) == want
	})
}

// A standby cluster is copied from the primary of another cluster and follows it, is promoted, and is followed then by the one that it followed.
func TestStandbyCluster(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	first, second := newSite(t), newSite(t)
	first.run(first.config(""))
	first.awaitPrimary()
	first.psql(portPrimary, "CREATE TABLE one AS SELECT 'from the first' AS x")
	follow := `{"standby_cluster": {"host": "127.0.0.1", "port": %d, "primary_slot_name": %q}}`

	first.psql(portPrimary, "SELECT pg_create_physical_replication_slot('second_site', true)")
	conf := second.config("")
	// The remote primary has methods of its own, and the cluster's are not for it.
	made := second.path("methods")
	method := func(name, does string) map[string]any {
		second.write(name+".sh", "set -e\necho "+name+" >>"+made+"\n"+does)
		second.own(second.path(name + ".sh"))
		return map[string]any{"command": "sh " + second.path(name+".sh"), "no_leader": true}
	}
	conf.Bootstrap.DCS = map[string]any{
		"standby_cluster": map[string]any{
			"host": "127.0.0.1", "port": first.port(portPostgres), "primary_slot_name": "second_site", "create_replica_methods": []any{"fails", "copies"},
		},
		"postgresql": map[string]any{
			"create_replica_methods": []any{"own"}, "own": method("own", "exit 1"), "fails": method("fails", "exit 1"),
			"copies": method("copies", `for a; do case $a in --datadir=*) d=${a#*=};; --connstring=*) c=${a#*=};; esac; done
exec pg_basebackup -D "$d" -d "$c" -X stream -c fast --no-password`),
		},
	}
	second.run(conf)
	second.awaitRole("standby_leader")
	second.awaitRow("one", "from the first")
	if got, err := os.ReadFile(made); err != nil || string(got) != "fails\ncopies\n" {
		t.Errorf("the methods that were tried: %q, %v", got, err)
	}
	for path, want := range map[string]int{"/standby-leader": 200, "/primary": 503, "/replica": 503, "/leader": 200, "/read-write": 503} {
		if code, text := second.do("GET", path, ""); code != want {
			t.Errorf("GET %s on the standby leader: %d, it should be %d: %s", path, code, want, text)
		}
	}
	if _, members := second.do("GET", "/cluster", ""); !strings.Contains(members, `"role":"standby_leader"`) && !strings.Contains(members, `"role": "standby_leader"`) {
		t.Errorf("GET /cluster: %s", members)
	}
	if got := first.psql(portPrimary, "SELECT string_agg(slot_name, ',') FROM pg_replication_slots WHERE active"); got != "second_site" {
		t.Errorf("slots in use at the first: %q", got)
	}

	second.patchConfig(`{"standby_cluster": null}`)
	second.awaitPrimary()
	second.psql(portPrimary, "CREATE TABLE two AS SELECT 'from the second' AS x")
	second.psql(portPrimary, "SELECT pg_create_physical_replication_slot('first_site', true)")

	first.patchConfig(fmt.Sprintf(follow, second.port(portPostgres), "first_site"))
	first.awaitRole("standby_leader")
	first.awaitRow("two", "from the second")
	if got := second.psql(portPrimary, "SELECT state FROM pg_stat_replication"); got != "streaming" {
		t.Errorf("the second cluster's standby: %q", got)
	}
}
