package proxy

import (
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"quorate/internal/freeport"
)

// TestHAProxyStatsBesideHAProxy carries the same sessions through HAProxy and through the router, and compares what the two say of them: the same columns in
// the same order, the same ones filled, and the same values where they do not depend on time.
func TestHAProxyStatsBesideHAProxy(t *testing.T) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skip("haproxy is not installed")
	}
	a, b := newServer(t, "a"), newServer(t, "b")
	theirs, page := startHAProxy(t, program, a.addr(), b.addr())
	r := newRouter(t, func(o *Options) { o.Listeners[0].MaxSessions, o.Listeners[0].MaxPerBackend = 100, 50 })
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	var open []net.Conn
	for _, addr := range []string{theirs, r.Addr("primary").String()} {
		for i := range 5 {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			write(t, c, startup("ann", "shop"))
			for _, kind := range []byte{'R', 'K', 'Z'} {
				expectMessage(t, c, kind)
			}
			expectEcho(t, c, "some bytes")
			if i < 2 {
				_ = c.Close()
			}
			open = append(open, c)
		}
	}
	eventually(t, "three sessions", func() bool { return len(r.Sessions()) == 3 })
	var columns []string
	var want map[string]map[string]string
	eventually(t, "three sessions of HAProxy's", func() bool {
		columns, want = readStats(t, page)
		return want["primary/a"]["scur"] == "3"
	})
	if !slices.Equal(statsColumns[:len(statsColumns)-1], columns[:len(statsColumns)-1]) {
		t.Errorf("the columns are\n%s\nand HAProxy's\n%s", statsColumns, columns)
	}
	// Checks are HAProxy's own, and so are its compression and the way in which it holds connections to servers.
	for _, name := range strings.Fields("chkfail check_status check_code check_duration check_desc check_rise check_fall check_health last_chk comp_in comp_out" +
		" comp_byp comp_rsp srv_icur idle_conn_cur safe_conn_cur used_conn_cur need_conn_est eint wrew agg_server_status agg_server_check_status agg_check_status") {
		columns = slices.DeleteFunc(columns, func(c string) bool { return c == name })
	}
	same := strings.Fields("scur stot dreq dresp ereq econ eresp wretr wredis status lbtot type mode rate_lim req_rate req_tot cli_abrt srv_abrt conn_tot connect" +
		" reuse dcon dses pid sid act bck uweight chkdown")
	got := stats(t, r)
	for _, row := range []string{"primary/FRONTEND", "primary/a", "primary/b", "primary/BACKEND"} {
		for _, c := range columns {
			if c == "-" {
				break // what follows are protocols of HAProxy's
			}
			if want[row][c] != "" && got[row][c] == "" {
				t.Errorf("%s: %s is empty, HAProxy says %s", row, c, want[row][c])
			}
			if slices.Contains(same, c) && got[row][c] != want[row][c] && !(row == "primary/b" && (c == "act" || c == "chkdown")) {
				t.Errorf("%s: %s is %q, HAProxy says %q", row, c, got[row][c], want[row][c])
			}
		}
	}
	if got["primary/a"]["lastsess"] == "-1" || got["primary/b"]["lastsess"] != "-1" || got["primary/FRONTEND"]["rate_max"] == "0" {
		t.Errorf("%v", got)
	}
	for _, c := range open {
		_ = c.Close()
	}
	// HAProxy counts bytes when a session ends, the router as they pass.
	eventually(t, "no session", func() bool {
		_, want = readStats(t, page)
		got = stats(t, r)
		return want["primary/a"]["scur"] == "0" && got["primary/a"]["scur"] == "0"
	})
	for _, row := range []string{"primary/FRONTEND", "primary/a", "primary/BACKEND"} {
		for _, c := range []string{"bin", "bout", "stot", "cli_abrt", "srv_abrt"} {
			if got[row][c] != want[row][c] {
				t.Errorf("%s: %s is %q, HAProxy says %q", row, c, got[row][c], want[row][c])
			}
		}
	}
}

// startHAProxy runs HAProxy before a and, down as a replica is for a primary's port, b.
func startHAProxy(t *testing.T, program, a, b string) (addr, page string) {
	t.Helper()
	addr, stats := freeport.Addr(t), freeport.Addr(t)
	check := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = check.Serve(l) }()
	t.Cleanup(func() { _ = check.Close() })
	conf := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf(`global
    maxconn 200
defaults
    mode tcp
    timeout client 1m
    timeout connect 4s
    timeout server 1m
listen primary
    bind %s
    maxconn 100
    balance leastconn
    option httpchk GET /primary
    default-server inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions
    server a %s maxconn 50 check port %d
    server b %s maxconn 50 check port %d
listen stats
    mode http
    timeout client 1m
    bind %s
    stats enable
    stats uri /
`, addr, a, l.Addr().(*net.TCPAddr).Port, b, freeport.Port(t), stats)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-db", "-f", conf)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	page = "http://" + stats + "/;csv"
	eventually(t, "HAProxy knows its servers", func() bool {
		resp, err := http.Get(page)
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		_, rows := readStats(t, page)
		return rows["primary/a"]["status"] == "UP" && rows["primary/b"]["status"] == "DOWN"
	})
	return addr, page
}

func readStats(t *testing.T, page string) (columns []string, rows map[string]map[string]string) {
	t.Helper()
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	rows = map[string]map[string]string{}
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		rows[line[0]+"/"+line[1]] = row
	}
	return lines[0], rows
}
