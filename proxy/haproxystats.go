package proxy

import (
	"cmp"
	"encoding/csv"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"quorate/internal/boottime"
)

// statsColumns are those of HAProxy 2.6's statistics, in its order (management guide, section 9.1), as far as they can mean
// anything here. Programs that read them go by the names of the first line.
var statsColumns = []string{
	"# pxname", "svname", "qcur", "qmax", "scur", "smax", "slim", "stot", "bin", "bout", "dreq", "dresp", "ereq", "econ", "eresp", "wretr", "wredis",
	"status", "weight", "act", "bck", "chkfail", "chkdown", "lastchg", "downtime", "qlimit", "pid", "iid", "sid", "throttle", "lbtot", "tracked",
	"type", "rate", "rate_lim", "rate_max", "check_status", "check_code", "check_duration", "hrsp_1xx", "hrsp_2xx", "hrsp_3xx", "hrsp_4xx",
	"hrsp_5xx", "hrsp_other", "hanafail", "req_rate", "req_rate_max", "req_tot", "cli_abrt", "srv_abrt", "comp_in", "comp_out", "comp_byp",
	"comp_rsp", "lastsess", "last_chk", "last_agt", "qtime", "ctime", "rtime", "ttime", "agent_status", "agent_code", "agent_duration",
	"check_desc", "agent_desc", "check_rise", "check_fall", "check_health", "agent_rise", "agent_fall", "agent_health", "addr", "cookie", "mode",
	"algo", "",
}

// The values of the column "type".
const (
	statsFrontend = "0"
	statsBackend  = "1"
	statsServer   = "2"
)

// StatsHandler serves HAProxy's statistics CSV, for exporters and scripts that HAProxy's users have: at /;csv, /stats;csv, and
// /haproxy?stats;csv, where "stats uri" has a query.
func (r *Router) StatsHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if u := req.URL.RequestURI(); u != "/stats;csv" && u != "/;csv" && u != "/haproxy?stats;csv" {
			http.NotFound(w, req)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Cache-Control", "no-cache")
		_ = r.WriteStats(w) // the reader has gone
	})
}

// WriteStats writes a proxy of HAProxy's for each listener: its front end, a server for each backend, and the back end as a whole.
func (r *Router) WriteStats(w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(statsColumns); err != nil {
		return err
	}
	for _, row := range r.statsRows() {
		line := make([]string, len(statsColumns))
		for i, c := range statsColumns {
			line[i] = row[c]
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (r *Router) statsRows() (rows []map[string]string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, live := boottime.Now(), r.liveBytes()
	for i, l := range r.listeners {
		if l.over() {
			continue
		}
		var whole place
		var servers []map[string]string
		for j, name := range slices.Sorted(maps.Keys(l.places)) {
			p := *l.places[name]
			p.in, p.out = p.in+live[pair{l, name}].in, p.out+live[pair{l, name}].out
			row := l.statsRow(name, statsServer, i, &p.tally)
			row["sid"], row["status"], row["econ"], row["chkdown"] = strconv.Itoa(j+1), upOrDown(p.up), count(p.failed), count(p.downs)
			row["lastchg"], row["addr"] = count(int64(now.Sub(p.changed).Seconds())), r.addrOf(name)
			row["weight"], row["act"], row["bck"] = "1", "1", "0"
			row["slim"] = limit(l.opts().MaxPerBackend)
			servers = append(servers, row)
			whole.in, whole.out, whole.failed, whole.up = whole.in+p.in, whole.out+p.out, whole.failed+p.failed, whole.up || p.up
		}
		whole.now, whole.most, whole.ever = l.total.now, l.total.most, l.total.ever
		rows = append(append(append(rows, l.frontendRow(i, &whole)), servers...), l.backendRow(i, &whole))
	}
	return rows
}

func (l *listener) statsRow(name, kind string, i int, t *tally) map[string]string {
	return map[string]string{
		"# pxname": l.opts().Name, "svname": name, "type": kind, "iid": strconv.Itoa(i + 1), "sid": "0", "pid": "1", "mode": "tcp",
		"scur": strconv.Itoa(t.now), "smax": strconv.Itoa(t.most), "stot": count(t.ever), "bin": count(t.in), "bout": count(t.out),
	}
}

func (l *listener) frontendRow(i int, whole *place) map[string]string {
	row := l.statsRow("FRONTEND", statsFrontend, i, &whole.tally)
	row["status"], row["slim"], row["ereq"] = "OPEN", limit(l.opts().MaxSessions), "0"
	return row
}

func (l *listener) backendRow(i int, whole *place) map[string]string {
	row := l.statsRow("BACKEND", statsBackend, i, &whole.tally)
	row["status"], row["econ"], row["algo"] = upOrDown(whole.up), count(whole.failed), string(cmp.Or(l.opts().Rule.Balance, BalanceLeast))
	row["qcur"], row["qmax"], row["qlimit"] = strconv.Itoa(len(l.queue.waiting)), strconv.Itoa(l.mostHeld), strconv.Itoa(l.opts().Hold.MaxClients)
	return row
}

// addrOf is a backend's address by the table in use.
func (r *Router) addrOf(name string) string {
	if r.table != nil {
		for _, b := range r.table.Backends {
			if b.Name == name {
				return b.Addr
			}
		}
	}
	return ""
}

func upOrDown(up bool) string {
	if up {
		return "UP"
	}
	return "DOWN"
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

func limit(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// pair is a backend as one listener uses it.
type pair struct {
	l       *listener
	backend string
}

type traffic struct{ in, out int64 }

// liveBytes are what present sessions have carried; called with mu held.
func (r *Router) liveBytes() map[pair]traffic {
	sum := make(map[pair]traffic)
	for _, s := range r.sessions {
		up, down := s.flow.Counts()
		t := sum[pair{s.l, s.backend.Name}]
		sum[pair{s.l, s.backend.Name}] = traffic{t.in + up, t.out + down}
	}
	return sum
}
