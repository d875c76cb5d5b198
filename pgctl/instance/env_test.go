package instance

import (
	"slices"
	"testing"

	"quorate/pgctl/postgres"
)

// TestRewindCompilesNothing: a server that compiles pg_rewind's question takes seconds for it, twice in each rewind.
func TestRewindCompilesNothing(t *testing.T) {
	for extra, want := range map[string]string{"": "-c jit=off", "-c work_mem=1MB": "-c work_mem=1MB -c jit=off"} {
		i := &Instance{}
		i.set.Store(&Settings{Database: "postgres"})
		i.acc.Store(&rotation{now: Accounts{Rewind: Account{User: "rewinder", Extra: postgres.Conninfo{}.With("options", extra)}}})
		c, err := postgres.ParseConninfo(i.rewindSource(RewindOptions{Host: "db", Port: 5432, Name: "a"}).String())
		if err != nil || c.Get("options") != want {
			t.Errorf("options %q (%v), want %q", c.Get("options"), err, want)
		}
	}
}

// TestEnvironment: what a restore tool is configured by gets through; what steers libpq, the agent's secrets and the service manager's words do not.
func TestEnvironment(t *testing.T) {
	for k, v := range map[string]string{
		"AWS_REGION": "r", "WALG_S3_PREFIX": "s", "PGBACKREST_STANZA": "main", "PATH": "/bin", "LC_ALL": "de_DE", "PG_MALLOC_ARENA_MAX": "2",
		"PGHOST": "h", "PGSSLMODE": "x", "PGPASSWORD": "p", "PATRONI_SUPERUSER_PASSWORD": "p", "QUORATE_GOSSIP_SECRET": "p", "NOTIFY_SOCKET": "/s", "LISTEN_FDS": "3",
	} {
		t.Setenv(k, v)
	}
	for name, c := range map[string]struct {
		got      []string
		has, not []string
	}{
		"a command of the user's": {inherited(), []string{"AWS_REGION=r", "WALG_S3_PREFIX=s", "PGBACKREST_STANZA=main", "PATH=/bin", "LC_ALL=de_DE"}, nil},
		"PostgreSQL": {
			safeEnv(), []string{"AWS_REGION=r", "WALG_S3_PREFIX=s", "PGBACKREST_STANZA=main", "PATH=/bin", "LC_MESSAGES=C", "MALLOC_ARENA_MAX=2"},
			[]string{"LC_ALL=de_DE"},
		},
	} {
		for _, kv := range c.has {
			if !slices.Contains(c.got, kv) {
				t.Errorf("%s does not get %s", name, kv)
			}
		}
		for _, kv := range append(c.not, "PGHOST=h", "PGSSLMODE=x", "PGPASSWORD=p", "PATRONI_SUPERUSER_PASSWORD=p", "QUORATE_GOSSIP_SECRET=p", "NOTIFY_SOCKET=/s", "LISTEN_FDS=3") {
			if slices.Contains(c.got, kv) {
				t.Errorf("%s gets %s", name, kv)
			}
		}
	}
}
