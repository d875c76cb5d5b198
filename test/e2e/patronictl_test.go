//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sys/unix"

	"quorate/test/lab"
)

// TestForeignPatronictl works on a cluster with the distribution's patronictl, which knows nothing of Quorate: it reads the keys by etcd's v3 API, writes
// them, and calls the members' REST API.
func TestForeignPatronictl(t *testing.T) {
	program, err := exec.LookPath("patronictl")
	if err != nil {
		t.Skip("patronictl is not installed: apt-get install patroni")
	}
	c := newCluster(t, t, false)
	c.start(t, append([]*lab.Host{c.client}, c.hosts...)...)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	p := &patronictl{t: t, cluster: c, program: program, ctx: ctx}
	p.write()

	leader, other, third := p.roles()
	p.says(" "+leader+" ", "list")
	p.says("| + "+other+" ", "topology")
	p.says("max_connections: 100", "show-config")
	p.says("Configuration changed", "edit-config", "--force", "-s", "loop_wait=2", "-p", "work_mem=5MB")
	p.everywhere("SHOW work_mem", "5MB", time.Second)
	p.says("Success: cluster management is paused", "pause", "--wait")
	p.worksInAPause(leader, other, third)
	p.says("Success: cluster management is resumed", "resume", "--wait")
	p.says(`Successfully switched over to "`+other+`"`, "switchover", "--force", "--master", leader, "--candidate", other)
	must(t, c.AwaitHealthy(p.ctx))
	p.says("| "+other, "history")
	p.says("Success: restart on member "+third, "restart", "lab", third, "--force")
	p.says("Success: reinitialize for member "+leader, "reinit", "lab", leader, "--force")
	must(t, c.AwaitHealthy(p.ctx))
	p.says("Reload request received for member "+third, "reload", "lab", "--force")
	p.says("Switchover scheduled", "switchover", "--force", "--master", other, "--candidate", third, "--scheduled", "2099-01-01T00:00+00:00")
	p.says("Switchover scheduled at: 2099-01-01", "list")
	p.says("Success: scheduled switchover deleted", "flush", "lab", "switchover", "--force")
	p.says(`Successfully failed over to "`+third+`"`, `Successfully switched over to "`+third+`"`, "failover", "--force", "--candidate", third)
	must(t, c.AwaitHealthy(p.ctx))
	p.pastTheMembers(third, other)
}

// pastTheMembers gives Quorate's own commands where the members' API is shut to them, and the store is open.
func (p *patronictl) pastTheMembers(leader, other string) {
	p.t.Helper()
	for _, h := range p.hosts {
		_, err := h.Run(p.ctx, lab.Spec{Args: []string{
			"iptables", "-w", "-I", "INPUT", "-p", "tcp", "--dport", "8008", "-s", p.client.IP(), "-j", "REJECT", "--reject-with", "tcp-reset",
		}})
		must(p.t, err)
	}
	p.program = program(p.t)
	p.says(" "+leader+" ", "list") // by the router's host, whose API is open
	store := "etcd3://" + p.hosts[0].Addr(2379)
	p.says(" "+leader+" ", "-d", store, "list", "lab") // by the keys: nobody else can be asked from here
	p.says("loop_wait: 2", "-d", store, "show-config", "lab")
	p.says("| "+other, "-d", store, "history", "lab")
	p.says("Configuration changed", "-d", store, "edit-config", "lab", "--force", "-p", "work_mem=6MB")
	p.everywhere("SHOW work_mem", "6MB", time.Second)
	p.says("Success: cluster management is paused", "pause", "--wait")
	p.says("Success: cluster management is resumed", "-d", store, "resume", "lab", "--wait")
	p.says(`Successfully switched over to "`+other+`"`, "-d", store, "switchover", "lab", "--force", "--candidate", other)
}

// worksInAPause asks in a pause for what an operator may ask for: each ends with a cluster that is whole again, though nothing is started unasked.
func (p *patronictl) worksInAPause(leader, other, third string) {
	p.t.Helper()
	down := p.host(third)
	must(p.t, down.Signal(unix.SIGINT, lab.Postmaster))
	p.until("a stopped PostgreSQL is called stopped", func() bool { return strings.Contains(p.run("list"), "stopped") })
	p.says("Success: restart on member "+third, "restart", "lab", third, "--force")
	must(p.t, p.AwaitHealthy(p.ctx))
	p.says("Success: reinitialize for member "+third, "reinit", "lab", third, "--force")
	must(p.t, p.AwaitHealthy(p.ctx))
	p.says(`Successfully switched over to "`+other+`"`, "switchover", "--force", "--master", leader, "--candidate", other)
	must(p.t, p.AwaitHealthy(p.ctx)) // the old primary follows
	p.says(`Successfully switched over to "`+leader+`"`, "switchover", "--force", "--master", other, "--candidate", leader)
	must(p.t, p.AwaitHealthy(p.ctx))
}

func (p *patronictl) host(name string) *lab.Host {
	p.t.Helper()
	for _, h := range p.hosts {
		if h.Name == name {
			return h
		}
	}
	p.t.Fatalf("no host is named %s", name)
	return nil
}

// until waits for something that comes.
func (p *patronictl) until(what string, cond func() bool) {
	p.t.Helper()
	for !cond() {
		select {
		case <-p.ctx.Done():
			p.t.Fatalf("waited in vain: %s", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// patronictl is the program on the host app, with a configuration that names the store as an etcd.
type patronictl struct {
	*cluster
	t       *testing.T
	program string
	ctx     context.Context
	config  string
}

func (p *patronictl) write() {
	p.t.Helper()
	var hosts []string
	for _, h := range p.hosts {
		hosts = append(hosts, h.Addr(2379))
	}
	p.config = filepath.Join(p.t.TempDir(), "patronictl.yaml")
	must(p.t, os.WriteFile(p.config, fmt.Appendf(nil, "scope: lab\netcd3: {hosts: %q}\n", strings.Join(hosts, ",")), 0o600))
}

func (p *patronictl) run(args ...string) string {
	p.t.Helper()
	out, err := p.client.Run(p.ctx, lab.Spec{
		Args: append([]string{p.program, "-c", p.config}, args...), Env: []string{"LC_ALL=C.UTF-8"},
	})
	if err != nil {
		p.t.Fatalf("patronictl %q: %v\n%s", args, err, out)
	}
	return out
}

// says runs a command and demands one of the texts in front of it in its output.
func (p *patronictl) says(words ...string) {
	p.t.Helper()
	n := 1
	for strings.Contains(words[n], " ") { // commands have none
		n++
	}
	out := p.run(words[n:]...)
	for _, want := range words[:n] {
		if strings.Contains(out, want) {
			return
		}
	}
	p.t.Errorf("patronictl %q says\n%s, want %q", words[n:], out, words[:n])
}

// roles are the leader and the two others.
func (p *patronictl) roles() (leader, a, b string) {
	p.t.Helper()
	var members []struct{ Member, Role string }
	must(p.t, json.Unmarshal([]byte(p.run("list", "-f", "json")), &members))
	var others []string
	for _, m := range members {
		if m.Role == "Leader" {
			leader = m.Member
			continue
		}
		others = append(others, m.Member)
	}
	if leader == "" || len(others) != 2 {
		p.t.Fatalf("members: %+v", members)
	}
	return leader, others[0], others[1]
}

// everywhere waits until a setting has a value on all hosts, and says how long that took after the command that changed it.
func (p *patronictl) everywhere(show, want string, within time.Duration) {
	p.t.Helper()
	begin := time.Now()
	for _, h := range p.hosts {
		for got := ""; got != want; {
			if got = p.ask(h, show); p.ctx.Err() != nil {
				p.t.Fatalf("%s on %s is %q", show, h.Name, got)
			}
		}
	}
	p.t.Logf("applied on all hosts after %v (target: %v on a machine that does nothing else)", time.Since(begin), within)
}

// ask gives the answer to a question of one value, or what went wrong.
func (p *patronictl) ask(h *lab.Host, sql string) string {
	config, err := pgconn.ParseConfig(p.Direct(h))
	must(p.t, err)
	config.DialFunc = p.client.Dial
	conn, err := pgconn.ConnectConfig(p.ctx, config)
	if err != nil {
		return err.Error()
	}
	defer conn.Close(context.WithoutCancel(p.ctx))
	results, err := conn.Exec(p.ctx, sql).ReadAll()
	if err != nil {
		return err.Error()
	}
	return string(results[0].Rows[0][0])
}
