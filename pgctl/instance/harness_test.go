package instance_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"quorate/internal/freeport"
	"quorate/internal/soon"
	"quorate/pgctl/instance"
	"quorate/pgctl/instance/directrun"
	"quorate/pgctl/postgres"
)

// testTimeout is how long anything in a test may take before the test gives up.
const testTimeout = 60 * time.Second

// bounded is a context that ends with the test, or when the test has taken too long.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}

// requireRoom skips a test that keeps a folder aside on a machine whose disk is so full that this would be refused.
func requireRoom(t *testing.T) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(os.TempDir(), &st); err != nil {
		t.Fatal(err)
	}
	if st.Bavail*100 < st.Blocks*instance.KeepFree {
		t.Skipf("less than %d%% of the file system of %s are free", instance.KeepFree, os.TempDir())
	}
}

// requirePostgres skips a test on a machine without PostgreSQL.
func requirePostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real servers, which takes a second each")
	}
	hits, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if _, err := exec.LookPath("initdb"); err != nil && len(hits) == 0 {
		t.Skip("PostgreSQL's programs are not installed on this machine")
	}
	if os.Geteuid() == 0 {
		if _, err := user.Lookup("postgres"); err != nil {
			t.Skip("PostgreSQL does not run as root, and there is no user postgres")
		}
	}
}

// workDir is a temporary folder that the user of PostgreSQL owns, with a short path: it holds sockets.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "q")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if uid, gid, root := runAs(t); root {
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// runAs is PostgreSQL's user, when the test is root.
func runAs(t *testing.T) (uid, gid int, root bool) {
	t.Helper()
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, _ = strconv.Atoi(u.Uid)
	gid, _ = strconv.Atoi(u.Gid)
	return uid, gid, true
}

// node is an instance under test.
type node struct {
	*instance.Instance
	t    *testing.T
	name string
	dir  string
	port int
	sup  *directrun.Supervisor
	opt  instance.Options
	// password is the superuser's; "": that of all nodes.
	password string
}

const password = `pw'with:odd\chars`

func newNode(t *testing.T, name string, change ...func(*instance.Options)) *node {
	t.Helper()
	requirePostgres(t)
	base := workDir(t)
	n := &node{t: t, name: name, dir: filepath.Join(base, name), port: freeport.Port(t)}
	n.sup = directrun.New(n.dir)
	n.opt = instance.Options{
		DataDir: n.dir, ClusterName: "test", Listen: "127.0.0.1", Port: n.port, SocketDir: base,
		Superuser:   instance.Account{User: "postgres", Password: password},
		Replication: instance.Account{User: "replicator", Password: "r:" + password},
		Rewind:      instance.Account{User: "rewinder", Password: "w" + password},
		Supervisor:  n.sup,
		Logger:      slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", name),
	}
	for _, c := range change {
		c(&n.opt)
	}
	n.open()
	t.Cleanup(n.kill)
	return n
}

func (n *node) open() {
	n.t.Helper()
	i, err := instance.New(n.opt)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Instance = i
	n.must(n.Configure(context.Background(), testConfig()))
}

func testConfig() instance.Config {
	return instance.Config{
		Params: postgres.Params{
			"fsync": "off", "shared_buffers": "16MB", "max_connections": "30", "autovacuum": "off", "wal_recycle": "off",
		},
		BaseBackup: []string{"--no-sync"},
	}
}

func (n *node) must(_ any, err error) {
	n.t.Helper()
	n.ok(err)
}

// kill leaves nothing behind, whatever the test came to.
func (n *node) kill() {
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	if err := n.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		n.t.Error(err)
	}
	if pid, _ := n.sup.Running(ctx); pid != 0 {
		_ = n.sup.Signal(ctx, syscall.SIGCONT)
		_ = n.sup.Signal(ctx, syscall.SIGQUIT)
		if _, err := n.sup.Wait(ctx); err != nil {
			n.t.Errorf("%s is still there: %v", n.name, err)
		}
	}
}

func (n *node) ok(err error) {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
}

// bootstrap makes a new cluster and opens it.
func (n *node) bootstrap() *node {
	n.t.Helper()
	ctx := bounded(n.t)
	n.initialize()
	n.ok(n.StartPrimary(ctx, postgres.SyncNames{}))
	n.ok(n.PostBootstrap(ctx))
	return n
}

func (n *node) cloneOptions(of *node) instance.CloneOptions {
	return instance.CloneOptions{Host: "127.0.0.1", Port: of.port, Name: n.name}
}

// upstream is how n follows of.
func (n *node) upstream(of *node) postgres.Upstream {
	return n.UpstreamTo("127.0.0.1", of.port, n.name, "")
}

// standbyOf clones of and follows it.
func (n *node) standbyOf(of *node) *node {
	n.t.Helper()
	ctx := bounded(n.t)
	n.ok(n.Clone(ctx, n.cloneOptions(of)))
	n.ok(n.StartStandby(ctx, n.upstream(of)))
	of.awaitStreaming(n.name)
	return n
}

func (n *node) connect() *pgconn.PgConn {
	n.t.Helper()
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable connect_timeout=5", n.port))
	n.ok(err)
	cfg.Password = cmp.Or(n.password, password)
	c, err := pgconn.ConnectConfig(bounded(n.t), cfg)
	n.ok(err)
	return c
}

// sql runs statements as a client and returns the first column of the last result's first row.
func (n *node) sql(q string) string {
	n.t.Helper()
	c := n.connect()
	defer c.Close(context.Background())
	res, err := c.Exec(bounded(n.t), q).ReadAll()
	if err != nil {
		n.t.Fatalf("%s: %s: %v", n.name, q, err)
	}
	if last := res[len(res)-1]; len(last.Rows) > 0 {
		return string(last.Rows[0][0])
	}
	return ""
}

// await asks until the query answers with want.
func (n *node) await(q, want string) {
	n.t.Helper()
	var have string
	n.eventually(func() bool { have = n.sql(q); return have == want }, func() string { return fmt.Sprintf("%s: %q, want %q", q, have, want) })
}

func (n *node) eventually(cond func() bool, say func() string) {
	n.t.Helper()
	soon.Within(n.t, testTimeout, func() string { return n.name + ": " + say() }, cond)
}

func (n *node) awaitStreaming(standby string) {
	n.t.Helper()
	n.await("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = '"+standby+"'", "1")
}

func (n *node) path(elem ...string) string { return filepath.Join(append([]string{n.dir}, elem...)...) }

func (n *node) hasFile(name string) bool {
	_, err := os.Stat(n.path(name))
	return err == nil
}

func (n *node) wantErr(err, want error) {
	n.t.Helper()
	if !errors.Is(err, want) {
		n.t.Fatalf("%s: %v, want %v", n.name, err, want)
	}
}

// testWriter sends logs to the test's own.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if w.t.Context().Err() == nil {
		w.t.Log(strings.TrimSpace(string(p)))
	}
	return len(p), nil
}

func itoa[T ~uint32 | ~int](n T) string { return fmt.Sprint(n) }
