package rest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"quorate/internal/soon"
)

const haproxyConfig = `
global
  stats socket %s mode 600 level admin
defaults
  timeout connect 1s
  timeout client 1s
  timeout server 1s
  mode tcp
  default-server inter 50ms fall 2 rise 1
backend by_get
  option httpchk GET /primary
  http-check expect status 200
  server n1 %s check
backend by_options
  option httpchk OPTIONS /
  server n1 %s check
backend by_head
  option httpchk HEAD /replica
  server n1 %s check
`

// TestHAProxy lets the program that people have in front of Patroni check a node, in the three ways that its documentation shows.
func TestHAProxy(t *testing.T) {
	haproxy, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	m := newMemory()
	m.publish(primaryStatus())
	addr := strings.TrimPrefix(start(t, newTestServer(t, m, nil)), "http://")
	dir, err := os.MkdirTemp("", "qh") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, config := filepath.Join(dir, "s"), filepath.Join(dir, "c")
	if err := os.WriteFile(config, fmt.Appendf(nil, haproxyConfig, socket, addr, addr, addr), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(haproxy, "-db", "-f", config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	want := func(what, get, options, head string) {
		t.Helper()
		var seen string
		soon.Within(t, 20*time.Second, func() string { return fmt.Sprintf("%s: HAProxy sees %s\n%s", what, seen, out.String()) }, func() bool {
			seen = haproxyStates(socket)
			return seen == fmt.Sprintf("by_get=%s by_options=%s by_head=%s", get, options, head)
		})
	}
	want("primary", "UP", "UP", "DOWN")
	m.publish(replicaStatus())
	want("standby", "DOWN", "DOWN", "UP")
	m.publish(primaryStatus())
	want("primary again", "UP", "UP", "DOWN")
}

// haproxyStates asks HAProxy what it thinks of the server in each backend.
func haproxyStates(socket string) string {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	fmt.Fprint(c, "show stat\n")
	all, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	var out []string
	for line := range strings.SplitSeq(string(all), "\n") {
		if f := strings.Split(line, ","); len(f) > 17 && f[1] == "n1" {
			state, _, _ := strings.Cut(f[17], " ")
			out = append(out, f[0]+"="+state)
		}
	}
	return strings.Join(out, " ")
}
