package proxy

import (
	"encoding/csv"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// stats reads the CSV as an exporter does: by the names of the first line.
func stats(t *testing.T, r *Router) map[string]map[string]string {
	t.Helper()
	web := httptest.NewServer(r.StatsHandler())
	defer web.Close()
	resp, err := http.Get(web.URL + "/stats;csv")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines, err := csv.NewReader(resp.Body).ReadAll()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.HasPrefix(lines[0][0], "# ") {
		t.Fatalf("status %d, %v, %v", resp.StatusCode, lines, err)
	}
	out := make(map[string]map[string]string)
	for _, line := range lines[1:] {
		row := make(map[string]string)
		for i, name := range lines[0] {
			row[name] = line[i]
		}
		out[line[0]+"/"+line[1]] = row
	}
	http.DefaultClient.CloseIdleConnections()
	return out
}

// Exporters have the address of the statistics in their configuration: each of the usual ones must lead here.
func TestHAProxyStatsAddresses(t *testing.T) {
	web := httptest.NewServer(newRouter(t, nil).StatsHandler())
	defer web.Close()
	for uri, want := range map[string]int{
		"/stats;csv": http.StatusOK, "/;csv": http.StatusOK, "/haproxy?stats;csv": http.StatusOK,
		"/haproxy": http.StatusNotFound, "/": http.StatusNotFound, "/stats": http.StatusNotFound,
	} {
		resp, err := http.Get(web.URL + uri)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", uri, resp.StatusCode, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

func TestHAProxyStats(t *testing.T) {
	a, b := newServer(t, "a"), newServer(t, "b")
	r := newRouter(t, nil)
	r.Publish(tableOf(1, a.backend(RolePrimary), b.backend(RoleReplica)))
	first := login(t, r, "primary")
	expectEcho(t, first, "some bytes")
	before := stats(t, r)
	_ = first.Close()
	eventually(t, "no session", func() bool { return len(r.Sessions()) == 0 })
	expectEcho(t, login(t, r, "primary"), "more bytes")
	after := stats(t, r)
	for row, want := range map[string]map[string]string{
		"primary/FRONTEND": {"status": "OPEN", "type": "0", "scur": "1", "smax": "1", "stot": "2"},
		"primary/a":        {"status": "UP", "type": "2", "scur": "1", "stot": "2", "addr": a.addr()},
		"primary/b":        {"status": "DOWN", "scur": "0", "stot": "0"},
		"primary/BACKEND":  {"status": "UP", "type": "1", "qcur": "0", "stot": "2"},
		"replica/a":        {"status": "DOWN"},
		"replica/b":        {"status": "UP"},
	} {
		for column, value := range want {
			if got := after[row][column]; got != value {
				t.Errorf("%s: %s is %q, want %q", row, column, got, value)
			}
		}
	}
	if one, two := before["primary/a"]["bin"], after["primary/a"]["bin"]; one == "0" || one == two {
		t.Errorf("bytes in were %s, then %s: the counter must grow over sessions", one, two)
	}
	r.Publish(tableOf(0, a.backend(RoleReplica), b.backend(RoleReplica)))
	eventually(t, "the primary down", func() bool { return stats(t, r)["primary/a"]["chkdown"] == "1" })
}
