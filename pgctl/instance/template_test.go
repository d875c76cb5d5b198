package instance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"quorate/pgctl/instance"
)

// template is a cluster fresh from initdb, made once and copied: initdb takes longer than most of the tests. Its segments are small, so that
// tests cross their borders.
var template struct {
	once sync.Once
	dir  string // removed by TestMain
}

const templateSegment = 1 << 20

func TestMain(m *testing.M) {
	code := m.Run()
	if template.dir != "" {
		os.RemoveAll(template.dir)
	}
	os.Exit(code)
}

// initialize puts a new cluster into the node's empty folder.
func (n *node) initialize() {
	n.t.Helper()
	template.once.Do(func() {
		dir, err := os.MkdirTemp("/tmp", "qtemplate")
		n.ok(err)
		template.dir = dir
		first := newNode(n.t, "template")
		first.ok(first.Initdb(bounded(n.t), instance.InitdbOptions{
			Args: []string{"--data-checksums", "--no-sync", "--locale=C", "--encoding=UTF8", "--wal-segsize=1"},
		}))
		first.copyTree(first.dir, filepath.Join(dir, "data"))
	})
	n.copyTree(filepath.Join(template.dir, "data"), n.dir)
	for _, own := range []string{"postgresql.conf", "pg_hba.conf"} { // they name the template's folder
		n.ok(os.Remove(n.path(own)))
	}
	c := testConfig()
	v, err := n.Version(bounded(n.t))
	n.ok(err)
	c.HBA = n.DefaultHBA(v)
	n.must(n.Configure(bounded(n.t), c))
}

func (n *node) copyTree(from, to string) {
	n.t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		n.t.Fatalf("%v: %s", err, out)
	}
}
