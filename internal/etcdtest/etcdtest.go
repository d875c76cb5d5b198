// Package etcdtest runs a real etcd for tests, with the old API where it has that.
package etcdtest

import (
	"net/http"
	"os/exec"
	"syscall"
	"testing"

	"quorate/internal/freeport"
	"quorate/internal/heard"
)

// Start runs an etcd of one member until the test ends, and gives its URL. Without etcd on this machine the test is skipped.
func Start(t testing.TB, flags ...string) string {
	t.Helper()
	bin, err := exec.LookPath("etcd")
	if err != nil {
		t.Skip("etcd is not installed")
	}
	client, peer := "http://"+freeport.Addr(t), "http://"+freeport.Addr(t)
	cmd := exec.Command(bin, append([]string{
		"--data-dir", t.TempDir(), "--name", "twin", "--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "twin=" + peer,
	}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var said heard.Output
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	said.Await(t, "ready to serve client requests")
	return client
}

// StartV2 is Start of an etcd that has the old API; etcd from 3.6 on has not, and the test is skipped.
func StartV2(t testing.TB) string {
	t.Helper()
	url := Start(t, "--enable-v2")
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get(url + "/v2/keys/?quorum=true")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Skipf("this etcd does not have the v2 API: %s", resp.Status)
	}
	return url
}
