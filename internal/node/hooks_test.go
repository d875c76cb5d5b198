package node

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/ha"
	"quorate/pgctl/instance"
	"quorate/raftstore/dcs"
)

// What PostgreSQL goes through, and what is called: Patroni's events, one for each change that somebody outside could act on.
func TestCallbacksFollowFromWhatIsSeen(t *testing.T) {
	const up, down = ha.Running, ha.Stopped
	var l life
	for i, c := range []struct {
		phase   ha.Phase
		standby bool
		op      string
		crashes int
		fresh   bool
		lost    bool // another holds the lead, or nobody
		want    string
	}{
		{phase: down},
		{phase: up, want: ""}, // what the former server said
		{phase: up, fresh: true, want: "on_start primary"},
		{phase: up, fresh: true},
		{phase: up, op: "restart", fresh: true},
		{phase: down, op: "restart"},
		{phase: up, fresh: true, want: "on_restart primary"},
		{phase: down, crashes: 1},
		{phase: up, crashes: 1, fresh: true, want: "on_start primary"},
		{phase: down, crashes: 1, op: "stop (fast): switchover", want: "on_stop primary"},
		{phase: down, crashes: 1},
		{phase: up, crashes: 1, standby: true, fresh: true, want: "on_role_change replica"},
		{phase: down, crashes: 1, want: "on_stop replica"},
		{phase: up, crashes: 1, standby: true, fresh: true, want: "on_start replica"},
		{phase: up, fresh: true, want: "on_role_change primary"},
		{phase: down, op: "restart"},
		{phase: down, want: "on_stop primary"}, // the restart ended without a server
		{phase: down, lost: true},              // an order, for which on_stop is enough
		{phase: up, fresh: true, want: "on_start primary"},
		{phase: down, crashes: 1},
		{phase: down, crashes: 2}, // it does not start
		{phase: down, crashes: 2, lost: true, want: "on_role_change demoted"},
		{phase: down, crashes: 2, lost: true},
		{phase: up, crashes: 2, lost: true, standby: true, fresh: true, want: "on_role_change replica"},
		{phase: down, crashes: 3, lost: true}, // a standby's crash
		{phase: up, crashes: 3, fresh: true, want: "on_role_change primary"},
		{phase: up, crashes: 4, fresh: true}, // the word of the end comes first
		{phase: down, crashes: 4},
		{phase: down, crashes: 4, lost: true, want: "on_role_change demoted"},
		{phase: up, crashes: 4, fresh: true, want: "on_role_change primary"},
		{phase: up, crashes: 5, fresh: true},
		{phase: up, crashes: 5, fresh: true, want: "on_start primary"}, // nobody has seen it down
	} {
		s := ha.Snapshot{Store: ha.Store{Cluster: &dcs.Cluster{Initialize: "1"}}}
		if s.Self.Name = "a"; !c.lost {
			s.Store.Cluster.Leader = &dcs.Leader{Name: "a"}
		}
		s.PG = ha.PG{Phase: c.phase, InRecovery: c.standby, Folder: ha.FolderData, Crashes: c.crashes, SampleAt: l.before}
		if c.fresh {
			s.PG.SampleAt = boottime.Instant(100 + i)
		}
		event, role := l.next(&s, c.op)
		if got := strings.TrimSpace(event + " " + role); got != c.want {
			t.Errorf("%d: %q, want %q", i, got, c.want)
		}
	}
}

// A callback that hangs is ended by the next one of its line, and by nothing else; the end of the agent does not wait for it.
// A node that comes up as the standby leader has become one: scripts wait for that event.
func TestStandbyLeaderIsARoleChange(t *testing.T) {
	var l life
	s := ha.Snapshot{Store: ha.Store{Cluster: &dcs.Cluster{Initialize: "1", Leader: &dcs.Leader{Name: "a"}}}}
	s.Self.Name, s.Set.StandbyCluster = "a", &dynamic.StandbyCluster{}
	s.Store.Cluster.Leader.Lease, s.Lease.ID = 5, 5
	s.PG = ha.PG{Phase: ha.Running, InRecovery: true, Folder: ha.FolderData, SampleAt: 10}
	if event, role := l.next(&s, ""); event != "on_role_change" || role != "standby_leader" {
		t.Errorf("%s %s", event, role)
	}
	s.PG.Phase = ha.Stopped
	l.next(&s, "")
	s.PG.Phase, s.PG.SampleAt = ha.Running, 20
	if event, role := l.next(&s, ""); event != "on_start" || role != "standby_leader" {
		t.Errorf("%s %s", event, role)
	}
}

func TestHangingCallback(t *testing.T) {
	var mu sync.Mutex
	var ended []string
	running := make(chan string, 10)
	h := newHooks(t.Context(), func(ctx context.Context, k instance.Hook) error {
		running <- k.Args[0]
		<-ctx.Done()
		mu.Lock()
		defer mu.Unlock()
		ended = append(ended, k.Args[0])
		return context.Cause(ctx)
	}, "demo", slog.New(slog.DiscardHandler))
	h.grace = time.Millisecond
	set := dynamic.PostgreSQL{Callbacks: map[string]string{"on_start": "a", "on_role_change": "b", "on_reload": "c"}}
	for _, event := range []string{"on_start", "on_reload", "on_role_change"} {
		h.call(set, event, "primary")
		if got := <-running; got != event {
			t.Fatalf("%s runs, want %s", got, event)
		}
	}
	mu.Lock()
	if got := strings.Join(ended, " "); got != "on_start" {
		t.Errorf("ended: %s", got)
	}
	mu.Unlock()
	h.settle()
	if f := h.failures(); len(f) != 0 {
		t.Errorf("a callback that had to make way counts as failed: %+v", f)
	}
	h.call(set, "on_stop", "primary") // no command, but what is running is over
	h.call(dynamic.PostgreSQL{Callbacks: map[string]string{"on_reload": ""}}, "on_reload", "primary")
	h.tasks.Wait()
}

// script writes a program that PostgreSQL's user may run.
func (s *site) script(name, body string) string {
	s.t.Helper()
	path := s.path("run", name)
	s.write("run/"+name, "#!/bin/sh\n"+body)
	s.own(path)
	if err := os.Chmod(path, 0o700); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) read(name string) string {
	b, _ := os.ReadFile(s.path(name))
	return string(b)
}

func (s *site) awaitText(name, want string) {
	s.t.Helper()
	eventually(s.t, want+" in "+name, func() bool { return strings.Contains(s.read(name), want) })
}

// A cluster that the user's own program makes, with every hook there is: each is called as Patroni calls it; one that fails is named in the API,
// and one that hangs holds nothing up.
func TestHooks(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	note := s.script("note", `echo "$@ as $(id -un)" >> `+s.path("run/calls")+"\n")
	hang := s.script("hang", "echo $@ >> "+s.path("run/calls")+"; sleep 1000 & wait\n")
	bad := s.script("bad", "echo no address to move >&2; exit 3\n")
	stop := s.script("stop", `PGPASSWORD=sup psql -h 127.0.0.1 -p `+strings.Split(s.addr(portPostgres), ":")[1]+` -U postgres -Atc "SELECT 'before_stop, serving ' || pg_is_in_recovery()" postgres >> `+s.path("run/calls")+"\n")
	post := s.script("post", `psql -X "$1" -c 'CREATE TABLE mine AS SELECT 42 AS answer' && echo "post $1" >> `+s.path("run/calls")+"\n")
	found := s.script("found", `for a in "$@"; do case "$a" in --datadir=*) dir=${a#--datadir=};; esac; done
echo found "$@" >> `+s.path("run/calls")+"\necho sup > "+s.path("run/pw")+"\n"+binDir()+"/initdb -N -U postgres -A scram-sha-256 --pwfile="+s.path("run/pw")+` -D "$dir"`+"\n")
	s.config("  callbacks: {on_start: '" + note + " ours', on_restart: '" + hang + "', on_reload: '" + bad + "', on_stop: '" + note + "'}\n" +
		"  before_stop: '" + stop + "'\n")
	text := strings.Replace(s.read("c.yml"), "bootstrap: {initdb: [{encoding: UTF8}, {locale: C}]}",
		"bootstrap: {method: mine, mine: {command: '"+found+"', stanza: main}, post_bootstrap: '"+post+"'}", 1)
	s.write("c.yml", text)
	u := s.run(s.load())
	s.awaitPrimary()
	s.awaitText("run/calls", "ours on_start primary demo as ")
	if got := s.psql(portPrimary, "SELECT answer FROM mine"); got != "42" {
		t.Errorf("post_bootstrap did not do its work: %q", got)
	}
	calls := s.read("run/calls")
	for _, want := range []string{"--stanza=main", "--scope=demo", "--datadir=" + s.path("pg"), "user=postgres", "host=127.0.0.1"} {
		if !strings.Contains(calls, want) {
			t.Errorf("%s is not among the calls:\n%s", want, calls)
		}
	}
	if i, j := strings.Index(calls, "post "), strings.Index(calls, "on_start"); i < 0 || j < i {
		t.Errorf("on_start came before the cluster was made:\n%s", calls)
	}

	if code, text := s.do("PATCH", "/config", `{"postgresql":{"parameters":{"work_mem":"5MB"}}}`); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	eventually(t, "the failed callback in the API", func() bool {
		_, text := s.do("GET", "/v1/status", "")
		return strings.Contains(text, "on_reload") && strings.Contains(text, "no address to move")
	})

	var code int
	eventually(t, "a restart", func() bool { code, _ = s.do("POST", "/restart", "{}"); return code == 200 })
	s.awaitText("run/calls", "on_restart primary demo")
	s.awaitPrimary()
	if !strings.Contains(s.read("run/calls"), "before_stop, serving false") {
		t.Errorf("before_stop was not called while PostgreSQL served:\n%s", s.read("run/calls"))
	}
	u.end()
	s.awaitText("run/calls", "on_stop primary demo")
	if strings.Count(s.read("run/calls"), "before_stop") != 2 {
		t.Errorf("before_stop is called once for each stop:\n%s", s.read("run/calls"))
	}
}

// fails runs a node that is to end by itself, and returns why it did.
func (s *site) fails(c *config.Config) error {
	s.t.Helper()
	n, err := New(s.options(c))
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return n.Run(ctx, func() {})
}

// A cluster whose post_bootstrap fails does not come about: nothing of it is taken for one later.
func TestBootstrapThatFails(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	s.config("")
	post := s.script("post", "echo no schema to load >&2; exit 4\n")
	whole := s.read("c.yml")
	s.write("c.yml", strings.Replace(whole, "bootstrap: {initdb", "bootstrap: {post_init: '"+post+"', initdb", 1))
	if err := s.fails(s.load()); err == nil || !strings.Contains(err.Error(), "no schema to load") {
		t.Fatalf("%v", err)
	}
	if _, err := os.Stat(s.path("pg")); err == nil {
		t.Error("the folder still has its name")
	}
	if _, err := os.Stat(s.path("pg.failed/PG_VERSION")); err != nil {
		t.Errorf("the folder was not kept: %v", err)
	}
	s.write("c.yml", whole)
	s.run(s.load())
	s.awaitPrimary()
}

// An agent that was killed after it had opened a new cluster, and before that had its roles, finishes it when it is started again. A post_bootstrap
// that was begun is not run twice.
func TestUnfinishedClusterIsFinished(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	s.config("")
	post := s.script("post", "echo run >> "+s.path("posts")+"\n")
	s.write("posts", "")
	s.own(s.path("posts"))
	s.write("c.yml", strings.Replace(s.read("c.yml"), "bootstrap: {initdb", "bootstrap: {post_init: '"+post+"', initdb", 1))
	for i, c := range []struct{ stage, runs string }{{"", "run\n"}, {"opened", "run\nrun\n"}, {"post_bootstrap", "run\nrun\n"}} {
		if c.stage != "" {
			s.write("pg.quorate/founding", `{"stage":"`+c.stage+`"}`)
		}
		u := s.run(s.load())
		s.awaitPrimary()
		eventually(t, "the role of replication", func() bool {
			return s.psql(portPostgres, "SELECT count(*) FROM pg_roles WHERE rolname = 'replicator'") == "1"
		})
		eventually(t, "no mark of an unfinished cluster", func() bool { _, err := os.Stat(s.path("pg.quorate/founding")); return err != nil })
		if got := s.read("posts"); got != c.runs {
			t.Errorf("%d: post_bootstrap ran: %q, want %q", i, got, c.runs)
		}
		s.psql(portPostgres, "DROP ROLE replicator")
		u.end()
	}
	if !strings.Contains(s.log.String(), "post_bootstrap is not repeated") {
		t.Error("nobody is told of the post_bootstrap that was broken off")
	}
}
