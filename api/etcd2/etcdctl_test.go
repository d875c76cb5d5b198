package etcd2_test

import (
	"os/exec"
	"strings"
	"testing"

	"quorate/internal/etcdtest"
	"quorate/internal/raftlab"
)

// etcdctl's commands for v2 users and roles, on a cluster: what one member is told holds on the others; an etcd says the same.
func TestEtcdctlUsers(t *testing.T) {
	bin, err := exec.LookPath("etcdctl")
	if err != nil {
		t.Skip("etcdctl is not installed")
	}
	t.Run("etcd", func(t *testing.T) {
		url := etcdtest.StartV2(t)
		etcdctlUsers(t, bin, func(int) string { return url })
	})
	t.Run("here", func(t *testing.T) {
		members := raftlab.Start(t, 3)
		etcdctlUsers(t, bin, func(step int) string {
			var newest uint64
			for _, m := range members {
				newest = max(newest, m.Store.RaftIndex())
			}
			m := members[step%len(members)]
			raftlab.Eventually(t, "the member to know of the step before", func() bool { return m.Store.RaftIndex() >= newest })
			return m.URL("")
		})
	})
}

func etcdctlUsers(t *testing.T, bin string, member func(step int) string) {
	t.Helper()
	for i, c := range []struct {
		line, want string
		fails      bool
	}{
		{line: "user add root:secret", want: "User root created"},
		{line: "user add eve:e", want: "User eve created"},
		{line: "role add web", want: "Role web created"},
		{line: "role grant web --path /web/* --readwrite", want: "Role web updated"},
		{line: "role grant web --path /web/* --read", want: "Granting duplicate read permission /web/*", fails: true},
		{line: "user grant eve --roles web", want: "User eve updated"},
		{line: "user get eve", want: "Roles:  web"},
		{line: "role get web", want: "/web/*"},
		{line: "set /secret 1", want: "1"},
		{line: "auth enable", want: "Authentication Enabled"},
		{line: "user list", want: "Insufficient credentials", fails: true},
		{line: "--username root:wrong user list", want: "Insufficient credentials", fails: true},
		{line: "--username root:secret user list", want: "eve\nroot"},
		{line: "--username root:secret role list", want: "guest\nroot\nweb"},
		{line: "--username root:secret role revoke guest --path /* --readwrite", want: "Role guest updated"},
		{line: "get /secret", want: "The request requires user authentication", fails: true},
		{line: "--username eve:e get /secret", want: "The request requires user authentication", fails: true},
		{line: "--username eve:e set /web/a 2", want: "2"},
		{line: "--username eve:e ls /web", want: "The request requires user authentication", fails: true}, // /web/* is not /web
		{line: "--username root:secret get /secret", want: "1"},
		{line: "--username root:secret user revoke eve --roles web", want: "User eve updated"},
		{line: "--username root:secret user remove eve", want: "User eve removed"},
		{line: "--username root:secret role remove web", want: "Role web removed"},
		{line: "--username root:secret auth disable", want: "Authentication Disabled"},
		{line: "get /secret", want: "1"},
	} {
		args := append([]string{"--no-sync", "--timeout", "1m", "--total-timeout", "2m", "--endpoints", member(i)}, strings.Fields(c.line)...)
		cmd := exec.CommandContext(t.Context(), bin, args...)
		cmd.Env = []string{"ETCDCTL_API=2"}
		out, err := cmd.CombinedOutput()
		if (err != nil) != c.fails || !strings.Contains(string(out), c.want) {
			t.Fatalf("etcdctl %s: %v\n%s\nwant %q", c.line, err, out, c.want)
		}
	}
}
