//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/lab"
	"quorate/test/lab/quoratestack"
)

// query asks over the network from where clients live, and gives the first column of the first row.
func query(ctx context.Context, from *lab.Host, target, sql string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cfg, err := pgconn.ParseConfig(target)
	if err != nil {
		return "", err
	}
	cfg.DialFunc = from.Dial
	c, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer c.Close(ctx)
	res, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return "", err
	}
	if len(res) == 0 || len(res[len(res)-1].Rows) == 0 {
		return "", nil
	}
	return string(res[len(res)-1].Rows[0][0]), nil
}

// eventually waits until there is no error any more; the last one is told.
func eventually(t *testing.T, ctx context.Context, what string, do func() error) {
	t.Helper()
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// dataCentre is a cluster of two data hosts and a witness, with a router beside its clients.
type dataCentre struct {
	*quoratestack.Stack
	t      *testing.T
	data   []*lab.Host
	client *lab.Host
}

func newDataCentre(t *testing.T, l *lab.Lab, n int, dcs map[string]string) *dataCentre {
	t.Helper()
	name := func(kind string) string { return fmt.Sprintf("%s%d", kind, n) }
	d := &dataCentre{t: t, data: []*lab.Host{l.Host(t, name("east")), l.Host(t, name("west"))}, client: l.Host(t, name("app"))}
	witness := l.Host(t, name("witness"))
	s, err := quoratestack.New(quoratestack.Options{Binary: program(t), Hosts: d.data, StoreOnly: []*lab.Host{witness}, Router: d.client, DCS: dcs})
	must(t, err)
	d.Stack = s
	for _, h := range []*lab.Host{witness, d.data[0], d.data[1], d.client} {
		must(t, s.StartHost(h))
	}
	return d
}

// standbyLeader is the host that says that it leads a standby cluster.
func (d *dataCentre) standbyLeader(ctx context.Context) *lab.Host {
	for _, h := range d.data {
		if code, _, err := d.Call(ctx, h, http.MethodGet, "/standby-leader", nil); err == nil && code == http.StatusOK {
			return h
		}
	}
	return nil
}

// awaitStandby waits until the cluster has a standby leader, and as many hosts have the newest row.
func (d *dataCentre) awaitStandby(ctx context.Context, row string, hosts ...*lab.Host) {
	d.t.Helper()
	eventually(d.t, ctx, "a standby leader with "+row, func() error {
		if d.standbyLeader(ctx) == nil {
			return errors.New("nobody leads the standby cluster")
		}
		for _, h := range hosts {
			if got, err := query(ctx, d.client, d.Direct(h), "SELECT max(what) FROM log"); err != nil || got != row {
				return fmt.Errorf("%s has %q: %w", h.Name, got, err)
			}
		}
		return nil
	})
}

func (d *dataCentre) write(ctx context.Context, row string) {
	d.t.Helper()
	eventually(d.t, ctx, "writing "+row, func() error {
		_, err := query(ctx, d.client, d.Target(), "CREATE TABLE IF NOT EXISTS log(what text PRIMARY KEY); INSERT INTO log VALUES ('"+row+"') ON CONFLICT DO NOTHING")
		return err
	})
}

func (d *dataCentre) other(h *lab.Host) *lab.Host {
	if h == d.data[0] {
		return d.data[1]
	}
	return d.data[0]
}

// TestStandbyClusterThroughFailovers follows one cluster with another by the first one's router, loses the leader of either, promotes the
// follower, and turns the replication round.
func TestStandbyClusterThroughFailovers(t *testing.T) {
	if err := lab.Available(); err != nil {
		t.Skip(err)
	}
	l := lab.ForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), 150*time.Second)
	defer cancel()
	first := newDataCentre(t, l, 1, nil)
	must(t, first.AwaitHealthy(ctx))
	first.write(ctx, "1 founded")
	second := newDataCentre(t, l, 2, map[string]string{"standby_cluster": fmt.Sprintf("{host: %s, port: 5000}", first.client.IP())})
	second.awaitStandby(ctx, "1 founded", second.data...)
	if out, err := second.Run(ctx, second.data[0], "list"); err != nil || !strings.Contains(out, "Standby Leader") || strings.Contains(out, "| Leader ") {
		t.Errorf("list: %v\n%s", err, out)
	}

	lost := first.Primary(ctx)
	must(t, lost.PowerOff())
	first.write(ctx, "2 failed over at the first")
	second.awaitStandby(ctx, "2 failed over at the first", second.data...)

	gone := second.standbyLeader(ctx)
	must(t, gone.PowerOff())
	first.write(ctx, "3 failed over at the second")
	second.awaitStandby(ctx, "3 failed over at the second", second.other(gone))

	must(t, lost.PowerOn(), first.StartHost(lost), gone.PowerOn(), second.StartHost(gone), first.AwaitHealthy(ctx))
	second.awaitStandby(ctx, "3 failed over at the second", second.data...)

	out, err := second.Run(ctx, second.data[0], "promote-cluster", "--force")
	t.Log(out)
	must(t, err)
	second.write(ctx, "4 promoted")
	must(t, second.AwaitHealthy(ctx))

	out, err = first.Run(ctx, first.data[0], "demote-cluster", "--force", "--host", second.client.IP(), "--port", "5000")
	t.Log(out)
	must(t, err)
	first.awaitStandby(ctx, "4 promoted", first.data...)
	if n, err := query(ctx, second.client, second.Target(), "SELECT count(*) FROM log"); err != nil || n != "4" {
		t.Errorf("%s rows, %v: four were written", n, err)
	}
}
