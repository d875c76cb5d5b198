package instance_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// script writes a program for the tests beside the node's folder.
func (n *node) script(name, body string) string {
	n.t.Helper()
	path := filepath.Join(filepath.Dir(n.dir), name)
	n.ok(os.WriteFile(path, []byte("#!/bin/sh\nset -eu\n"+body), 0o755))
	n.ok(os.Chmod(path, 0o755))
	return path
}

// parseArgs takes --datadir and --connstring out of a script's arguments.
const parseArgs = `for a in "$@"; do case "$a" in
--datadir=*) dir=${a#--datadir=} ;; --connstring=*) conn=${a#--connstring=} ;; --from=*) from=${a#--from=} ;; esac; done
`

func TestReplicaMethodsAreTriedInOrder(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.sql("CREATE TABLE t(i int)")
	b := newNode(t, "node-b")
	o := b.cloneOptions(a)
	bad := b.script("bad.sh", parseArgs+"mkdir -p \"$dir\"; touch \"$dir/rubbish\"; echo no such backup >&2; exit 3\n")
	empty := b.script("empty.sh", "exit 0\n")
	t.Setenv("WALG_S3_PREFIX", "s3://backups")
	t.Setenv("PGHOST", "another.example")
	good := b.script("good.sh", parseArgs+`echo "$@" "$(pwd) $WALG_S3_PREFIX ${PGHOST-unset}" > "$(dirname "$dir")/args"; exec `+binDir(t)+`/pg_basebackup --no-sync -D "$dir" -d "$conn" -X stream -c fast`+"\n")
	o.Methods = []instance.Method{
		{Name: "bad", Command: bad}, {Name: "empty", Command: empty}, {Name: "good", Command: "sh '" + good + "' ", Args: []string{"--stanza=main"}}, {Name: instance.BaseBackup},
	}
	b.ok(b.Clone(ctx, o))
	if b.hasFile("rubbish") {
		t.Error("what a failed method left lies in the copy")
	}
	args, err := os.ReadFile(filepath.Join(filepath.Dir(b.dir), "args"))
	b.ok(err)
	cwd, err := os.Getwd()
	b.ok(err)
	for _, want := range []string{"--stanza=main", "--scope=test", "--role=replica", "--datadir=" + b.dir, "host=127.0.0.1", cwd + " s3://backups unset"} {
		if !strings.Contains(string(args), want) {
			t.Errorf("%s is not among the arguments %s", want, args)
		}
	}
	b.ok(b.StartStandby(ctx, b.upstream(a)))
	a.awaitStreaming("node-b")

	c := newNode(t, "node-c")
	o = c.cloneOptions(a)
	o.Methods = []instance.Method{{Name: "bad", Command: bad}}
	err = c.Clone(ctx, o)
	c.wantErr(err, instance.ErrNoMethod)
	if !strings.Contains(err.Error(), "no such backup") {
		t.Errorf("the method's own words are missing: %v", err)
	}
	o.Host, o.Methods = "", []instance.Method{{Name: instance.BaseBackup}}
	c.wantErr(c.Clone(ctx, o), instance.ErrNoMethod)
	if f := c.Inspect(ctx); !f.Empty || f.Marker != nil {
		t.Errorf("%+v", f)
	}
}

// archiving has the log archived from the next start on, into the folder that it returns with the configuration.
func (n *node) archiving() (archive string, c instance.Config) {
	n.t.Helper()
	archive = filepath.Join(filepath.Dir(n.dir), "archive")
	n.ok(os.Mkdir(archive, 0o777))
	n.ok(os.Chmod(archive, 0o777))
	c = testConfig()
	c.Params["archive_mode"], c.Params["archive_command"] = "on", "cp %p "+archive+"/%f"
	n.must(n.Configure(bounded(n.t), c))
	return archive, c
}

// TestArchiveEnd: the segment with the checkpoint of a shutdown is not full, so that PostgreSQL leaves it out of the archive.
func TestArchiveEnd(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	a.ok(a.Stop(ctx, instance.StopOptions{}))
	a.ok(a.ArchiveEnd(ctx)) // nothing is archived here
	archive, c := a.archiving()
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))
	a.sql("CREATE TABLE t(i int)")
	a.wantErr(a.ArchiveEnd(ctx), instance.ErrNotArchived)
	a.ok(a.Stop(ctx, instance.StopOptions{}))
	cd, err := a.ControlData(ctx)
	a.ok(err)
	last := filepath.Join(archive, postgres.WALFileAt(cd.Timeline, cd.Checkpoint, cd.WALSegmentSize).Name(cd.WALSegmentSize))
	if _, err := os.Stat(last); err == nil {
		t.Fatalf("%s is archived already", last)
	}
	a.ok(a.ArchiveEnd(ctx))
	if fi, err := os.Stat(last); err != nil || fi.Size() != int64(cd.WALSegmentSize) {
		t.Errorf("%s: %v", last, err)
	}
	c.Params["archive_command"] = "exit 3"
	a.must(a.Configure(ctx, c))
	a.wantErr(a.ArchiveEnd(ctx), instance.ErrNotArchived)
}

// A cluster is founded from a base backup, recovered to a point between two transactions.
func TestBootstrapFromABackup(t *testing.T) {
	ctx := bounded(t)
	a := newNode(t, "node-a").bootstrap()
	archive, _ := a.archiving()
	a.ok(a.Restart(ctx, instance.StopOptions{}))
	a.sql("CREATE TABLE t(i int); INSERT INTO t VALUES (1)")

	b := newNode(t, "node-b", func(o *instance.Options) { o.Superuser.Password = "of the new cluster" })
	backup := filepath.Join(filepath.Dir(b.dir), "backup")
	copied := newNode(t, "copied", func(o *instance.Options) { o.DataDir = backup })
	copied.dir = backup
	copied.ok(copied.Clone(ctx, copied.cloneOptions(a)))
	a.sql("INSERT INTO t VALUES (2)")
	a.sql("SELECT pg_create_restore_point('here')")
	a.sql("INSERT INTO t VALUES (3)")
	last := a.sql("SELECT pg_walfile_name(pg_switch_wal())")
	a.await("SELECT coalesce(last_archived_wal, '') >= '"+last+"' FROM pg_stat_archiver", "t")

	restore := b.script("restore.sh", parseArgs+"mkdir -m 700 \"$dir\"; cp -R \"$from\"/. \"$dir\"; rm -f \"$dir/standby.signal\"\n")
	b.ok(os.Chmod(filepath.Dir(backup), 0o755))
	b.ok(b.BootstrapBy(ctx, instance.BootstrapOptions{
		Method:   instance.Method{Name: "restore", Command: restore, Args: []string{"--from=" + backup}},
		Recovery: postgres.Params{"restore_command": "cp " + archive + "/%f %p", "recovery_target_name": "here"},
	}))
	b.ok(b.StartPrimary(ctx, postgres.SyncNames{}))
	b.ok(b.PostBootstrap(ctx))
	b.password = "of the new cluster"
	if got := b.sql("SELECT string_agg(i::text, ',' ORDER BY i) FROM t"); got != "1,2" {
		t.Errorf("recovered rows %s, want those before the restore point", got)
	}
	if b.hasFile("recovery.signal") || !b.hasFile("standby.signal") || strings.Contains(b.read("postgresql.conf"), "recovery_target_name") {
		t.Error("the recovery of the bootstrap is not over")
	}
}
