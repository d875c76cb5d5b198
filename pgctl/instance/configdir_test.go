package instance_test

import (
	"os"
	"path/filepath"
	"testing"

	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
)

// Debian keeps the configuration outside of the data folder.
func TestConfigurationElsewhere(t *testing.T) {
	ctx := bounded(t)
	etc := workDir(t)
	a := newNode(t, "node-a", func(o *instance.Options) { o.ConfigDir = etc })
	a.ok(os.WriteFile(filepath.Join(etc, "postgresql.conf"), []byte("work_mem = '3MB'\n"), 0o644))
	a.bootstrap()
	a.await("SHOW work_mem", "3MB")
	a.await("SHOW config_file", filepath.Join(etc, "postgresql.conf"))
	a.await("SHOW hba_file", filepath.Join(etc, "pg_hba.conf"))
	if a.hasFile("postgresql.conf") {
		t.Error("a second postgresql.conf lies in the data folder")
	}
	a.crash()
	a.ok(a.RecoverCrash(ctx))
	a.ok(a.StartPrimary(ctx, postgres.SyncNames{}))

	b := newNode(t, "node-b", func(o *instance.Options) { o.ConfigDir = workDir(t) }).standbyOf(a)
	b.must(b.StopReceiver(ctx))
	a.sql("CREATE TABLE t(i int)")
	failover(a, b)
	_, err := a.Rewind(ctx, instance.RewindOptions{Host: "127.0.0.1", Port: b.port, Name: "node-a"})
	a.ok(err)
	a.ok(a.StartStandby(ctx, a.upstream(b)))
	b.awaitStreaming("node-a")
	a.await("SHOW work_mem", "3MB")
	b.await("SHOW work_mem", "3MB") // as the user's settings do that lie in the data folder
	b.await("SHOW hba_file", filepath.Join(b.opt.ConfigDir, "pg_hba.conf"))
}
