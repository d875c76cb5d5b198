package main

import (
	"bytes"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"quorate/api/client"
	"quorate/internal/ctl"
	"quorate/internal/freeport"
	"quorate/internal/heard"
)

// startPostgres runs a fresh server, as the user postgres when the test runs as root, and gives its port.
func startPostgres(t *testing.T) int {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(bins) == 0 {
		t.Skip("PostgreSQL is not installed in /usr/lib/postgresql")
	}
	bin := filepath.Dir(bins[len(bins)-1])
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	dir, err := os.MkdirTemp("/tmp", "quorate-query-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skip("root cannot run PostgreSQL, and there is no user postgres")
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	port := freeport.Port(t)
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attr, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1", "-k", dir, "-F")
	server.SysProcAttr, server.Dir = attr, dir
	var log heard.Output
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGQUIT)
		_ = server.Wait()
	})
	log.Await(t, "database system is ready to accept connections")
	return port
}

func TestQuery(t *testing.T) {
	m := &client.Member{Name: "pg1", Host: "127.0.0.1", Port: startPostgres(t)}
	o := queryOptions{username: "postgres", database: "postgres"}
	for _, c := range []struct {
		name, role, sql string
		format          ctl.Format
		want            string // a part of the output, or of the error behind "!"
	}{
		{"types", "", "select 1 as n, true as b, null as x, 'a' as t, 1.50 as d", ctl.TSV, "n\tb\tx\tt\td\n1\tTrue\tNone\ta\t1.50\n"},
		{"JSON", "", "select 1 as n, true as b, null as x, 'a' as t", ctl.JSON, `[{"n": 1, "b": true, "x": null, "t": "a"}]` + "\n"},
		{"the last statement counts", "", "select 1 as a; select 2 as b", ctl.TSV, "b\n2\n"},
		{"a statement without rows", "", "create table t (a int)", ctl.TSV, ""},
		{"an error", "", "select 1/0", ctl.TSV, "!ERROR, SQLSTATE: 22012 (division by zero)"},
		{"a primary", "primary", "select 1 as a", ctl.TSV, "a\n1\n"},
		{"a primary that is no replica any more", "replica", "select 1", ctl.TSV, "!No connection to role replica is available"},
	} {
		o.role = c.role
		sheet, err := runSQL(t.Context(), m, o, "", c.sql)
		if want, isErr := strings.CutPrefix(c.want, "!"); isErr || err != nil {
			if err == nil || err.Error() != want {
				t.Errorf("%s: error %v", c.name, err)
			}
			continue
		}
		if got := sheet.Render(c.format); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
	if _, err := runSQL(t.Context(), m, queryOptions{username: "nobody"}, "", "select 1"); err == nil || !strings.Contains(err.Error(), "28000") {
		t.Errorf("an unknown user: %v", err)
	}
}

// What is generated from a running server is a configuration of that server: where it listens, who may connect, what it was set to. A secret that
// the way to it holds is kept, and what nobody can know is said.
func TestGenerate(t *testing.T) {
	number := startPostgres(t)
	port := strconv.Itoa(number)
	dsn := "host=127.0.0.1 user=postgres password=known dbname=postgres sslmode=disable gssencmode=disable port=" + port
	if _, err := runSQL(t.Context(), &client.Member{Name: "pg1", Host: "127.0.0.1", Port: number}, queryOptions{username: "postgres", database: "postgres"}, "",
		"create role standby replication login"); err != nil {
		t.Fatal(err)
	}
	text, err := generate(t.Context(), dsn, "shop")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "q.yml")
	var out, errs bytes.Buffer
	a := &app{stdio: stdio{out: &out, err: &errs}, env: map[string]string{}}
	if err := a.writeConfig(path, text); err != nil {
		t.Fatal(err)
	}
	if err := a.validate(path, true, true); err != nil {
		t.Fatalf("%v\n%s\n%s", err, errs.String(), text)
	}
	for _, want := range []string{"scope: shop", "  listen: 127.0.0.1:" + port, "        max_connections: '100'"} {
		if !slices.Contains(strings.Split(out.String(), "\n"), want) {
			t.Errorf("%q is not there:\n%s", want, out.String())
		}
	}
	for _, want := range []string{
		"\n  # It listens for this host alone. Standbys on other hosts need: '*:" + port + "'\n", "\n  bin_dir: /", "\n      password: known\n      sslmode: disable\n      gssencmode: disable\n    replication:\n",
		"\n      username: standby\n", "\n  pg_hba:\n  - local",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not there:\n%s", want, text)
		}
	}
	if got := strings.Count(errs.String(), "placeholder"); got != 2 {
		t.Errorf("%d placeholders, of the gossip and of replication: %s", got, errs.String())
	}
	if got := scopeOf("15/main"); got != "15-main" {
		t.Errorf("the scope of Debian's cluster: %s", got)
	}
}
