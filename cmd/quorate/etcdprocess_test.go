package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/internal/freeport"
)

// etcdPatience bounds every wait for a process; reaching it is a failure.
const etcdPatience = time.Minute

// etcdProcess is the program, called as etcd is.
type etcdProcess struct {
	name, dir, client, peer string
	cmd                     *exec.Cmd
	ready                   chan struct{}
	ended                   chan struct{}

	mu  sync.Mutex // guards log
	log strings.Builder
}

// Write takes the log, and sees the line for which scripts wait.
func (p *etcdProcess) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := strings.Contains(p.log.String(), "ready to serve client requests")
	p.log.Write(b)
	if !before && strings.Contains(p.log.String(), "ready to serve client requests") {
		close(p.ready)
	}
	return len(b), nil
}

func (p *etcdProcess) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

func newEtcdProcess(t *testing.T, name string) *etcdProcess {
	return &etcdProcess{name: name, dir: filepath.Join(t.TempDir(), "data"), client: freeport.Addr(t), peer: freeport.Addr(t)}
}

// start starts it as a member of the named ones.
func (p *etcdProcess) start(t *testing.T, state string, members ...*etcdProcess) {
	t.Helper()
	var initial []string
	for _, m := range members {
		initial = append(initial, m.name+"=http://"+m.peer)
	}
	p.ready, p.ended = make(chan struct{}), make(chan struct{})
	// As a shell starts what ends with "&".
	p.cmd = exec.Command("/bin/sh", "-c", `trap "" INT; exec "$0" "$@"`, "etcd", "--name", p.name, "--data-dir", p.dir, "--listen-client-urls", "http://"+p.client,
		"--advertise-client-urls", "http://"+p.client, "--listen-peer-urls", "http://"+p.peer, "--initial-advertise-peer-urls", "http://"+p.peer,
		"--initial-cluster", strings.Join(initial, ","), "--initial-cluster-state", state)
	p.cmd.Stderr = p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(p.ended); _ = p.cmd.Wait() }()
	t.Cleanup(func() { p.signal(syscall.SIGKILL); <-p.ended })
}

func (p *etcdProcess) signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

func (p *etcdProcess) await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(etcdPatience):
		t.Fatalf("%s: %s not within %v\n%s", p.name, what, etcdPatience, p.text())
	}
}

// A host is dead for good: one command makes room for another, which starts empty and gets a vote, so that the store bears the next loss. A
// member that is there is not replaced by mistake.
func TestReplaceDeadHost(t *testing.T) {
	a, b, c, d := newEtcdProcess(t, "a"), newEtcdProcess(t, "b"), newEtcdProcess(t, "c"), newEtcdProcess(t, "d")
	for _, p := range []*etcdProcess{a, b, c} {
		p.start(t, "new", a, b, c)
	}
	for _, p := range []*etcdProcess{a, b, c} {
		p.await(t, "ready", p.ready)
	}
	db, err := clientv3.New(clientv3.Config{Endpoints: []string{a.client, b.client}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	put := func(key string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), etcdPatience)
		defer cancel()
		for {
			if _, err := db.Put(ctx, key, "v"); err == nil {
				return
			} else if ctx.Err() != nil {
				t.Fatalf("put %s: %v", key, err)
			}
		}
	}
	put("k")
	replace := func() (string, error) {
		out, err := exec.Command("quorate", "-d", "etcd3://"+a.client, "member", "replace", "c", "http://"+d.peer, "--force").CombinedOutput()
		return string(out), err
	}
	if out, err := replace(); err == nil || !strings.Contains(out, "it is not dead") {
		t.Fatalf("a member that is there is replaced: %s", out)
	}
	c.signal(syscall.SIGKILL)
	c.await(t, "killed", c.ended)
	put("k2")
	if out, err := replace(); err != nil || !strings.Contains(out, "start the host at http://"+d.peer) {
		t.Fatalf("replace: %v\n%s", err, out)
	}
	d.start(t, "existing", a, b, d)
	d.await(t, "ready, with a vote", d.ready)
	list, err := db.MemberList(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var members []string
	for _, m := range list.Members {
		members = append(members, fmt.Sprintf("%s learner=%t", m.Name, m.IsLearner))
	}
	if len(members) != 3 || !strings.Contains(fmt.Sprint(members), "d learner=false") {
		t.Errorf("members: %v", members)
	}
	b.signal(syscall.SIGKILL) // the next loss
	b.await(t, "killed", b.ended)
	put("k3")
}

// SIGTERM and SIGINT end the program as they end etcd: told in the log, and by the signal itself, SIGINT although whoever has
// started it had that ignored.
func TestEtcdEndsBySignal(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := newEtcdProcess(t, "a")
		p.start(t, "new", p)
		p.await(t, "ready", p.ready)
		p.signal(s)
		p.await(t, "ended", p.ended)
		st, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || !st.Signaled() || st.Signal() != s {
			t.Errorf("%v: %v", s, p.cmd.ProcessState)
		}
		if want := fmt.Sprintf(`"msg":"received signal; shutting down","signal":"%v"`, s); !strings.Contains(p.text(), want) {
			t.Errorf("%v: not in the log: %s\n%s", s, want, p.text())
		}
	}
}
