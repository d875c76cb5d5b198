//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"quorate/test/lab"
	"quorate/test/lab/patronistack"
	"quorate/test/rig"
)

// TestMigration goes the way of docs/migrate.md, on a cluster of Debian's Patroni, etcd and HAProxy under load: the agents one by one, there and back, then
// the router, then the store. Nothing that was acknowledged is lost on the way.
func TestMigration(t *testing.T) {
	m := newMigration(t)
	pg1, pg2, pg3 := m.hosts[0], m.hosts[1], m.hosts[2]
	m.leadBy(pg1)

	m.step("an agent of Quorate beside Patroni's, and back to Patroni")
	m.toQuorate(pg3)
	m.listsAll()
	m.toPatroni(pg3)

	m.step("Quorate leads members run by Patroni, and Patroni one run by Quorate")
	m.toQuorate(pg3)
	m.handOver(pg1, pg3)
	m.handOver(pg3, pg2)

	m.step("the other members")
	m.toQuorate(pg1)
	m.handOver(pg2, pg1)
	m.toQuorate(pg2)
	m.listsAll()

	m.step("the router, on the keys in etcd")
	must(t, m.end(m.client, lab.Program("haproxy")))
	m.start(m.client, m.config(m.client, "proxy.yml", m.router("etcd3: {hosts: ["+m.join(":2379")+"]}")))
	must(t, m.AwaitHealthy(m.ctx))

	m.step("the store")
	m.toOwnStore()

	m.step("all the way back")
	m.toOldStack()

	v := judge(t, m.ctx, m.rig)
	must(t, v.Err(0))
}

// TestMigrationV2 does so with the keys of etcd's old API, as far as they go: agents of Quorate beside Patroni's, either leading; then Quorate's alone, through a
// pause, an agent's death and the loss of the primary's host. A row is written in each step, and all are there at the end.
func TestMigrationV2(t *testing.T) {
	longRun(t)
	m := &migration{t: t, binary: program(t), patroni: newPatroni(t, patronistack.Options{Driver: "etcd"}), began: time.Now()}
	first := m.Primary(m.ctx)
	var others []*lab.Host
	for _, h := range m.hosts {
		if h != first {
			others = append(others, h)
		}
	}
	m.write("CREATE TABLE IF NOT EXISTS steps (n int PRIMARY KEY)", 0)

	m.step("Quorate leads members run by Patroni, and Patroni one run by Quorate")
	m.toQuorate(others[0])
	m.listsAll()
	m.handOver(first, others[0])
	m.row(1)
	m.handOver(others[0], others[1])
	m.row(2)

	m.step("the other members")
	m.toQuorate(first)
	_, err := m.client.Run(m.ctx, lab.Spec{Args: []string{
		"patronictl", "-c", filepath.Join(first.Dir(), "patroni.yml"), "switchover", "bench", "--master", others[1].Name, "--force"}})
	must(t, err)
	eventually(t, m.ctx, "Quorate leads", func() error {
		if now := m.Primary(m.ctx); now == nil || now == others[1] {
			return errors.New("it does not")
		}
		return nil
	})
	must(t, m.AwaitHealthy(m.ctx))
	m.toQuorate(others[1])
	m.row(3)

	m.step("the router, on the keys in etcd")
	must(t, m.end(m.client, lab.Program("haproxy")))
	m.start(m.client, m.config(m.client, "proxy.yml", m.router("etcd: {hosts: ["+m.join(":2379")+"]}")))
	m.row(4)

	m.step("the agents anew in a pause")
	primary, before := m.Primary(m.ctx), m.started()
	m.command("patroni.yml", "pause", "--wait")
	m.awaitUnfenced(primary)
	for _, h := range m.hosts {
		must(t, m.end(h, lab.Agent))
		m.start(h, filepath.Join(h.Dir(), "patroni.yml"))
	}
	must(t, m.AwaitHealthy(m.ctx))
	m.command("patroni.yml", "resume", "--wait")
	m.row(5)
	m.unchanged(primary, before)

	m.step("the primary's agent is killed, and comes back")
	must(t, primary.Signal(unix.SIGKILL, lab.Agent))
	m.start(primary, filepath.Join(primary.Dir(), "patroni.yml"))
	must(t, m.AwaitHealthy(m.ctx))
	m.row(6)
	m.unchanged(primary, before)

	m.step("the primary's host is lost")
	must(t, primary.PowerOff())
	lost := time.Now()
	m.row(7)
	t.Logf("writes after %.1f s, of a ttl of 20", time.Since(lost).Seconds())
	must(t, primary.PowerOn(), m.StartStore(primary))
	m.start(primary, filepath.Join(primary.Dir(), "patroni.yml"))
	must(t, m.AwaitHealthy(m.ctx))
	m.row(8)
	m.step("done")
}

// row writes the nth one.
func (m *migration) row(n int) {
	m.t.Helper()
	m.write(fmt.Sprintf("INSERT INTO steps VALUES (%d) ON CONFLICT DO NOTHING", n), n)
}

// write runs a statement through the router until it works, and waits until every host has as many rows as are to be there then.
func (m *migration) write(sql string, rows int) {
	m.t.Helper()
	eventually(m.t, m.ctx, "a write works", func() error {
		_, err := query(m.ctx, m.client, m.Target(), sql)
		return err
	})
	for _, h := range m.hosts {
		eventually(m.t, m.ctx, "every host has the row", func() error {
			got, err := query(m.ctx, m.client, m.Direct(h), "SELECT count(*) FROM steps")
			if rows == 7 && err != nil {
				return nil // its host is off
			}
			if err == nil && got != fmt.Sprint(rows) {
				err = fmt.Errorf("%s has %s rows, and %d were written", h.Name, got, rows)
			}
			return err
		})
	}
}

type migration struct {
	patroni
	t      *testing.T
	rig    *rig.Rig
	binary string
	began  time.Time
}

func newMigration(t *testing.T) *migration {
	t.Helper()
	longRun(t)
	m := &migration{t: t, binary: program(t), patroni: newPatroni(t, patronistack.Options{}), began: time.Now()}
	m.rig = startRig(t, m.ctx, m, m.client, m.hosts)
	return m
}

func (m *migration) step(what string) { m.t.Logf("%5.1f s  %s", time.Since(m.began).Seconds(), what) }

// end sends SIGTERM and waits until nothing of the role is left.
func (m *migration) end(h *lab.Host, roles ...lab.Role) error {
	if err := h.Signal(unix.SIGTERM, roles...); err != nil {
		return err
	}
	for _, role := range roles {
		for {
			if left, err := h.Find(role); err != nil || len(left) == 0 {
				break
			}
			select {
			case <-m.ctx.Done():
				return fmt.Errorf("%s does not end: %w", h.Name, m.ctx.Err())
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// patroniYAML is the host's file, as it was before.
func (m *migration) patroniYAML(h *lab.Host) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(h.Dir(), "patroni.yml"))
	must(m.t, err)
	return string(b)
}

func (m *migration) config(h *lab.Host, name, text string) string {
	m.t.Helper()
	path := filepath.Join(h.Dir(), name)
	must(m.t, os.WriteFile(path, []byte(text), 0o644))
	return path
}

func (m *migration) start(h *lab.Host, args ...string) {
	m.t.Helper()
	_, err := h.Start(lab.Spec{Name: "quorate", User: "postgres", Args: append([]string{m.binary, "run"}, args...)})
	must(m.t, err)
}

// toQuorate replaces a replica's agent: Patroni's file is taken as it is.
func (m *migration) toQuorate(h *lab.Host) {
	m.t.Helper()
	must(m.t, m.end(h, lab.Program("patroni"), lab.Postmaster))
	m.start(h, filepath.Join(h.Dir(), "patroni.yml"))
	must(m.t, m.AwaitHealthy(m.ctx))
}

func (m *migration) toPatroni(h *lab.Host) {
	m.t.Helper()
	must(m.t, m.end(h, lab.Agent, lab.Fence, lab.Postmaster))
	must(m.t, m.StartAgent(h), m.AwaitHealthy(m.ctx))
}

// leadBy makes a host the primary.
func (m *migration) leadBy(h *lab.Host) {
	m.t.Helper()
	if primary := m.Primary(m.ctx); primary != h {
		m.handOver(primary, h)
	}
}

// handOver switches over with Debian's patronictl, as a person does.
func (m *migration) handOver(from, to *lab.Host) {
	m.t.Helper()
	_, err := m.client.Run(m.ctx, lab.Spec{Args: []string{
		"patronictl", "-c", filepath.Join(from.Dir(), "patroni.yml"), "switchover", "bench", "--master", from.Name, "--candidate", to.Name, "--force",
	}})
	must(m.t, err)
	for m.Primary(m.ctx) != to {
		select {
		case <-m.ctx.Done():
			m.t.Fatalf("%s did not take over from %s", to.Name, from.Name)
		case <-time.After(50 * time.Millisecond):
		}
	}
	must(m.t, m.AwaitHealthy(m.ctx))
	m.t.Logf("%5.1f s  %s leads", time.Since(m.began).Seconds(), to.Name)
}

// listsAll looks at the cluster with both programs.
func (m *migration) listsAll() {
	m.t.Helper()
	conf := filepath.Join(m.hosts[0].Dir(), "patroni.yml")
	for _, program := range []string{"patronictl", m.binary} {
		out, err := m.client.Run(m.ctx, lab.Spec{Args: []string{program, "-c", conf, "list", "bench"}})
		must(m.t, err)
		for _, h := range m.hosts {
			if !strings.Contains(out, h.Name) {
				m.t.Errorf("%s does not show %s:\n%s", program, h.Name, out)
			}
		}
		m.t.Log("\n" + out)
	}
}

// command runs one of the program's commands against the cluster, as a person does.
func (m *migration) command(conf string, args ...string) string {
	m.t.Helper()
	out, err := m.client.Run(m.ctx, lab.Spec{Args: append([]string{m.binary, "-c", filepath.Join(m.hosts[0].Dir(), conf)}, args...)})
	must(m.t, err)
	return out
}

// pauseAndEnd ends the agents in a pause: PostgreSQL runs on.
func (m *migration) pauseAndEnd(conf string) {
	m.t.Helper()
	primary := m.Primary(m.ctx)
	m.command(conf, "pause", "--wait")
	m.awaitUnfenced(primary)
	for _, h := range m.hosts {
		must(m.t, m.end(h, lab.Agent))
	}
	must(m.t, m.end(m.client, lab.Agent))
	m.step("paused, and no agent runs")
}

// awaitUnfenced waits until the primary runs without its fence's deadline, which follows the pause: an agent that ended before would leave it armed.
func (m *migration) awaitUnfenced(primary *lab.Host) {
	m.t.Helper()
	for {
		_, body, err := m.Call(m.ctx, primary, "GET", "/v1/why", nil)
		must(m.t, err)
		if i := strings.LastIndex(string(body), "record that this primary runs without a fence"); i >= 0 && strings.Contains(string(body)[i:], "drop the fence's deadline") {
			return
		}
		select {
		case <-m.ctx.Done():
			m.t.Fatalf("%s does not drop its fence's deadline: %s", primary.Name, body)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// started is when each PostgreSQL was started.
func (m *migration) started() (all []string) {
	m.t.Helper()
	for _, h := range m.hosts {
		out, err := m.client.Run(m.ctx, lab.Spec{Env: []string{"PGPASSWORD=postgres"}, Args: []string{
			"psql", "-XAt", "-h", h.IP(), "-U", "postgres", "-c", "SELECT pg_postmaster_start_time()", "postgres"}})
		must(m.t, err)
		all = append(all, h.Name+" "+strings.TrimSpace(out))
	}
	return all
}

// toOwnStore replaces etcd in a pause.
func (m *migration) toOwnStore() {
	m.t.Helper()
	shared := m.command("patroni.yml", "show-config")
	primary, before := m.Primary(m.ctx), m.started()
	m.pauseAndEnd("patroni.yml")
	for _, h := range m.hosts {
		must(m.t, m.end(h, lab.Program("etcd")))
	}
	for _, h := range m.hosts {
		m.start(h, m.config(h, "quorate.yml", m.ownStore(h)))
	}
	m.start(m.client, m.config(m.client, "quorate.yml", m.router(m.gossip())))
	m.resume()
	must(m.t, m.AwaitHealthy(m.ctx))
	m.step("Quorate's own store")
	if now := m.command("quorate.yml", "show-config"); now != shared {
		m.t.Errorf("the shared configuration was\n%s\nand is\n%s", shared, now)
	}
	m.unchanged(primary, before)
}

// resume ends the pause as soon as the primary has given the new store the shared configuration.
func (m *migration) resume() {
	m.t.Helper()
	for {
		code, body, err := m.Call(m.ctx, m.hosts[0], "GET", "/config", nil)
		if err == nil && code == 200 {
			break
		}
		select {
		case <-m.ctx.Done():
			m.t.Fatalf("the new store got no configuration: %d %s %v", code, body, err)
		case <-time.After(500 * time.Millisecond):
		}
	}
	m.command("quorate.yml", "resume", "--wait")
}

// toOldStack goes back to Patroni, etcd and HAProxy, with the configurations that were never touched.
func (m *migration) toOldStack() {
	m.t.Helper()
	primary, before := m.Primary(m.ctx), m.started()
	m.pauseAndEnd("quorate.yml")
	for _, h := range m.hosts {
		must(m.t, m.StartStore(h), m.StartAgent(h))
	}
	must(m.t, m.StartRouter(), m.AwaitHealthy(m.ctx))
	_, err := m.client.Run(m.ctx, lab.Spec{Args: []string{"patronictl", "-c", filepath.Join(m.hosts[0].Dir(), "patroni.yml"), "resume", "--wait", "bench"}})
	must(m.t, err)
	m.step("Patroni, etcd and HAProxy")
	m.unchanged(primary, before)
}

// unchanged sees that no PostgreSQL was restarted and that the same one leads.
func (m *migration) unchanged(primary *lab.Host, before []string) {
	m.t.Helper()
	if now := m.Primary(m.ctx); now != primary {
		m.t.Errorf("%s led before, %v does now", primary.Name, now)
	}
	if now := m.started(); !slices.Equal(before, now) {
		m.t.Errorf("PostgreSQL was restarted: %v before, %v now", before, now)
	}
}

// join lists the hosts.
func (m *migration) join(port string) string {
	var all []string
	for _, h := range m.hosts {
		all = append(all, `"`+h.IP()+port+`"`)
	}
	return strings.Join(all, ", ")
}

func (m *migration) gossip() string {
	return fmt.Sprintf("gossip: {join: [%s], secret: a lab has no secrets}\n", m.join(""))
}

// router is the whole configuration of a host with the router alone.
func (m *migration) router(where string) string {
	return "scope: bench\nname: app\nroles: [proxy]\n" + where + "\n"
}

// withoutEtcd takes out the section etcd3.
func (m *migration) withoutEtcd(text string) string {
	var out bytes.Buffer
	inside := false
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.HasPrefix(line, "etcd3:") {
			inside = true
			continue
		}
		if inside && strings.HasPrefix(line, " ") {
			continue
		}
		inside = false
		out.WriteString(line)
	}
	return out.String()
}

func (m *migration) ownStore(h *lab.Host) string {
	return m.withoutEtcd(m.patroniYAML(h)) + m.gossip() + fmt.Sprintf("store: {expect: 3, data_dir: %s/run/store}\n", h.Dir())
}
