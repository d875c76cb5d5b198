package demo

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"quorate/api/client"
	"quorate/internal/boottime"
	"quorate/internal/soon"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMeterTakesTheGapAcrossAMark(t *testing.T) {
	m, at := newMeter(), boottime.Instant(time.Hour)
	ack := func(after time.Duration) { at = at.Add(after); m.acknowledge(int64(at), at) }
	ack(0)
	ack(10 * time.Millisecond)
	m.mark("fault")
	ack(700 * time.Millisecond)
	ack(20 * time.Millisecond)
	r := m.read(at.Add(100 * time.Millisecond))
	if got := r.Spans[1]; got.Longest != 700*time.Millisecond || got.Commits != 2 {
		t.Errorf("after the mark: %+v", got)
	}
	if got := r.Spans[0]; got.Longest != 10*time.Millisecond {
		t.Errorf("before it: %+v", got)
	}
	if r.Rate != 4 || r.Acked != 4 || r.Since != 100*time.Millisecond {
		t.Errorf("%+v", r)
	}
	if r := m.read(at.Add(990 * time.Millisecond)); r.Rate != 1 {
		t.Errorf("%d commits counted in the last second, three are older", r.Rate)
	}
}

func TestChangesInWords(t *testing.T) {
	m := func(name, role, state string) client.Member {
		return client.Member{Name: name, Role: role, State: state, Timeline: 1}
	}
	none := client.Cluster{}
	before := client.Cluster{Members: []client.Member{m("n1", "leader", "running"), m("n2", "replica", "streaming")}}
	after := client.Cluster{Members: []client.Member{m("n1", "replica", "starting"), m("n2", "leader", "running")}}
	for _, tc := range []struct {
		was, is client.Cluster
		want    string
	}{
		{none, before, "n1 is the primary; n2 streams from n1"},
		{before, before, ""},
		{before, after, "n2 is the primary"},
		{after, before, "n1 is the primary; n2 streams from n1"},
		{before, client.Cluster{Members: []client.Member{m("n1", "replica", "stopped")}}, ""},
	} {
		if got := strings.Join(changes(tc.was, tc.is), "; "); got != tc.want {
			t.Errorf("found %q, want %q", got, tc.want)
		}
	}
}

func TestEventsKeepNewsAndOrder(t *testing.T) {
	e := newEvents(boottime.Now())
	var heard []string
	e.tell(func(ev event) { heard = append(heard, ev.text) })
	for _, text := range []string{"a", "a", "b", "a"} {
		e.say("n1", text)
	}
	if want := []string{"a", "b", "a"}; !slices.Equal(heard, want) {
		t.Errorf("%v, want %v", heard, want)
	}
	if l := e.latest(2); len(l) != 2 || l[0].text != "b" || l[1].text != "a" {
		t.Errorf("the latest: %v", l)
	}
}

func TestRoutineIsNoNews(t *testing.T) {
	for text, want := range map[string]bool{
		"no action. I am (n1), the leader with the lock":    false,
		"an operation is in progress; the leader is n1":     false,
		"promoted self to leader by acquiring session lock": true,
		"": false,
	} {
		if got := (decision{Text: text}).news(); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNetworkAvoidsPortsThatAreTaken(t *testing.T) {
	n, err := findNetwork()
	must(t, err)
	l, err := net.Listen("tcp4", at(n.via(2), n.rest))
	must(t, err)
	defer l.Close()
	if n.free() {
		t.Error("a port on which somebody listens counts as free")
	}
	other, err := findNetwork()
	must(t, err)
	if other == n {
		t.Errorf("%+v was chosen although it is taken", n)
	}
}

func TestFolder(t *testing.T) {
	full := t.TempDir()
	must(t, os.WriteFile(filepath.Join(full, "mine"), nil, 0o600))
	if _, err := makeFolder(full); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("somebody's folder: %v", err)
	}
	if _, err := makeFolder("/" + strings.Repeat("x", maxDir)); err == nil || !strings.Contains(err.Error(), "UNIX socket") {
		t.Errorf("a path that is too long: %v", err)
	}
	f, err := makeFolder("")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(f.path, "file"), nil, 0o600))
	must(t, f.remove())
	if _, err := os.Stat(f.path); !os.IsNotExist(err) {
		t.Errorf("the demo's own folder is still there: %v", err)
	}
}

func TestGivenFolderStays(t *testing.T) {
	dir, err := os.MkdirTemp("", "qd") // short enough for --dir
	must(t, err)
	defer os.RemoveAll(dir)
	f, err := makeFolder(dir)
	must(t, err)
	must(t, os.Mkdir(filepath.Join(dir, "n1"), 0o700))
	must(t, f.remove())
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 0 {
		t.Errorf("left in it: %v", entries)
	}
}

// TestProcessesOfAHost looks for a child, its child and an orphan, which are all of a host that are there, and for the owner of a connection.
func TestProcessesOfAHost(t *testing.T) {
	must(t, adopt())
	dir := t.TempDir()
	h := &host{name: "n1", dir: dir}
	d := &Demo{hosts: []*host{h}}
	ours := exec.Command("sh", "-c", "sleep 1000 & sleep 1000 & wait")
	ours.Dir = dir
	must(t, ours.Start())
	other := exec.Command("sleep", "1000")
	must(t, other.Start())
	t.Cleanup(func() { _ = other.Process.Kill(); _ = other.Wait() })
	h.agent, h.state = ours, up
	await(t, "three processes", func() bool { return len(d.members(h)) == 3 })
	if slices.Contains(d.members(h), other.Process.Pid) {
		t.Error("a stranger counts as the host's")
	}
	must(t, syscall.Kill(ours.Process.Pid, syscall.SIGKILL))
	_ = ours.Wait()
	h.agent = nil
	await(t, "two orphans, known by their working folder", func() bool { return len(d.members(h)) == 2 })
	must(t, d.kill(t.Context(), h))
	if left := d.members(h); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	for _, pid := range childrenOf(os.Getpid()) {
		if pid != other.Process.Pid && isZombie(pid) {
			t.Errorf("process %d has ended, and nobody took note: it counts as alive", pid)
		}
	}
}

func TestDiallerIsTheOwnerOfTheSocket(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	c, err := net.Dial("tcp4", l.Addr().String())
	must(t, err)
	defer c.Close()
	s, err := l.Accept()
	must(t, err)
	defer s.Close()
	client, via := s.RemoteAddr().(*net.TCPAddr).AddrPort(), s.LocalAddr().(*net.TCPAddr).AddrPort()
	self, err := os.FindProcess(os.Getpid())
	must(t, err)
	h := &host{name: "n1", dir: t.TempDir(), agent: &exec.Cmd{Process: self}}
	if got := (&Demo{hosts: []*host{h}}).dialler(client, via); got != "n1" {
		t.Errorf("found %q", got)
	}
	h.agent = nil
	if got := (&Demo{hosts: []*host{h}}).dialler(client, via); got != "" {
		t.Errorf("somebody else's connection counts as %q", got)
	}
	if got := socketInode(client, via); got == "" {
		t.Error("an open connection is not found")
	}
	must(t, c.Close())
	if got := socketInode(client, via); got != "" {
		t.Errorf("the connection was given up, and its owner is looked for by inode %s", got)
	}
}

func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	soon.True(t, 20*time.Second, what, so)
}
