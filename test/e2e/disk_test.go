//go:build e2e

package e2e

import (
	"errors"
	"sync"
	"testing"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
	"quorate/test/rig"
)

// TestFullDisk fills the primary's disk, first so that PostgreSQL still runs, then so that nothing fits any more: another member with room takes over
// without a loss that was not told, and the host comes back by itself when there is room.
func TestFullDisk(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	c := &cluster{lab: l, hosts: []*lab.Host{l.Host(t, "pg1"), l.Host(t, "pg2"), l.Host(t, "pg3")}, client: l.Host(t, "app")}
	stack, err := quoratestack.New(quoratestack.Options{
		Binary: program(t), Hosts: c.hosts, Router: c.client, DiskMB: 512,
		Parameters: map[string]string{"min_wal_size": "32MB", "max_wal_size": "64MB"},
	})
	must(t, err)
	c.Stack = stack
	c.start(t, c.client, c.hosts[0], c.hosts[1], c.hosts[2])
	for _, megabytes := range []int64{24, 0} {
		f := rig.DiskFills(megabytes)
		t.Run(f.Name, func(t *testing.T) { c.suffer(t, f, reportedLoss(t, c)) })
	}
	t.Run("hangs", c.tellsOfAHungDisk)
}

// tellsOfAHungDisk stops the primary's disk under a commit. A fenced PostgreSQL whose backends hang in the disk cannot end its sessions: the router of that host
// does, while the disk still hangs, and says why.
func (c *cluster) tellsOfAHungDisk(t *testing.T) {
	ctx := patience(t)
	scene := c.ready(t, ctx)
	conn := c.sessionThrough(t, scene.Primary)
	_, err := conn.Exec(ctx, "CREATE TABLE hung (i int)").ReadAll()
	must(t, err)
	f := rig.DiskHangs()
	must(t, f.Strike(ctx, scene))
	thaw := sync.OnceFunc(func() { must(t, f.Mend(ctx, scene)) })
	defer thaw()
	_, err = conn.Exec(ctx, "INSERT INTO hung SELECT generate_series(1, 100000)").ReadAll()
	if codeOf(err) != "57P01" {
		t.Errorf("the session on the hung disk ended with %v", err)
	}
	eventually(t, ctx, "another member leads", func() error {
		if now := c.Primary(ctx); now == nil || now == scene.Primary {
			return errors.New("none does")
		}
		return nil
	})
	thaw()
	must(t, c.AwaitHealthy(ctx))
}
