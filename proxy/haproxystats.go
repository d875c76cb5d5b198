package proxy

import (
	"cmp"
	"encoding/csv"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

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
	"algo", "conn_rate", "conn_rate_max", "conn_tot", "intercepted", "dcon", "dses", "wrew", "connect", "reuse", "cache_lookups", "cache_hits",
	"srv_icur", "src_ilim", "qtime_max", "ctime_max", "rtime_max", "ttime_max", "eint", "idle_conn_cur", "safe_conn_cur", "used_conn_cur",
	"need_conn_est", "uweight", "agg_server_status", "agg_server_check_status", "agg_check_status", "",
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
	at := moment{boottime.Now(), time.Since(rateFrom)}
	live := r.liveBytes()
	for i, l := range r.listeners {
		if l.over() {
			continue
		}
		whole, ups := place{tally: l.total, health: l.health}, 0
		whole.in, whole.out = 0, 0
		var servers []map[string]string
		for j, name := range slices.Sorted(maps.Keys(l.places)) {
			p := *l.places[name]
			p.in, p.out = p.in+live[pair{l, name}].in, p.out+live[pair{l, name}].out
			row := l.statsRow(name, statsServer, i, &p.tally, at)
			l.sideRow(row, &p, at)
			row["sid"], row["addr"], row["slim"] = strconv.Itoa(j+1), r.addrOf(name), limit(l.opts().MaxPerBackend)
			row["weight"], row["uweight"], row["act"], row["bck"] = "1", "1", "1", "0"
			row["qcur"], row["qmax"] = "0", "0" // clients wait for any server
			servers = append(servers, row)
			whole.in, whole.out, whole.failed = whole.in+p.in, whole.out+p.out, whole.failed+p.failed
			if p.up {
				ups++
			}
		}
		rows = append(append(append(rows, l.frontendRow(i, &whole, at)), servers...), l.backendRow(i, &whole, ups, at))
	}
	return rows
}

// moment is now, on the clocks of what is counted.
type moment struct {
	boot boottime.Instant
	rate time.Duration
}

func (l *listener) statsRow(name, kind string, i int, t *tally, at moment) map[string]string {
	return map[string]string{
		"# pxname": l.opts().Name, "svname": name, "type": kind, "iid": strconv.Itoa(i + 1), "sid": "0", "pid": "1", "mode": "tcp",
		"scur": strconv.Itoa(t.now), "smax": strconv.Itoa(t.most), "stot": count(t.ever), "bin": count(t.in), "bout": count(t.out),
		"rate": count(t.rate.read(at.rate)), "rate_max": count(t.rate.most),
	}
}

// frontendRow has what HAProxy counts on a client's side. A TCP proxy denies and intercepts no requests: these stay 0, as HAProxy's do.
func (l *listener) frontendRow(i int, whole *place, at moment) map[string]string {
	row := l.statsRow("FRONTEND", statsFrontend, i, &whole.tally, at)
	row["status"], row["slim"], row["rate_lim"] = "OPEN", limit(l.opts().MaxSessions), "0"
	row["ereq"], row["dreq"], row["dresp"], row["dcon"] = count(l.malformed.Load()), "0", "0", "0"
	row["dses"] = count(l.denied.Load())
	row["req_rate"], row["req_rate_max"], row["req_tot"] = "0", "0", "0"
	l.doorstep.Lock()
	defer l.doorstep.Unlock()
	row["conn_rate"], row["conn_rate_max"] = count(l.doorstep.rate.read(at.rate)), count(l.doorstep.rate.most)
	row["conn_tot"] = count(l.doorstep.count)
	return row
}

// sideRow adds what HAProxy counts on the servers' side.
func (l *listener) sideRow(row map[string]string, p *place, at moment) {
	row["status"], row["chkdown"], row["downtime"] = upOrDown(p.up), count(p.downs), whole(p.downtime(at.boot))
	row["lastchg"] = whole(at.boot.Sub(p.changed))
	row["econ"], row["wredis"], row["wretr"] = count(p.failed), count(p.failed), "0"
	row["dresp"], row["eresp"], row["reuse"] = "0", "0", "0"
	row["lbtot"], row["connect"] = count(p.ever), count(p.ever)
	row["cli_abrt"], row["srv_abrt"] = count(p.clientAborts), count(p.backendAborts)
	row["lastsess"] = "-1"
	if p.ever > 0 {
		row["lastsess"] = whole(at.rate - p.lastAt)
	}
	for name, a := range map[string]*average{"qtime": &p.waited, "ctime": &p.connected, "ttime": &p.lasted, "rtime": {}} {
		row[name], row[name+"_max"] = count(a.read().Milliseconds()), count(a.most.Milliseconds())
	}
}

func (l *listener) backendRow(i int, p *place, ups int, at moment) map[string]string {
	row := l.statsRow("BACKEND", statsBackend, i, &p.tally, at)
	l.sideRow(row, p, at)
	row["slim"] = limit(l.opts().MaxSessions)
	row["algo"], row["dreq"] = string(cmp.Or(l.opts().Rule.Balance, BalanceLeast)), "0"
	row["weight"], row["uweight"], row["act"], row["bck"] = strconv.Itoa(ups), strconv.Itoa(ups), strconv.Itoa(ups), "0"
	row["qcur"], row["qmax"], row["qlimit"] = strconv.Itoa(len(l.queue.waiting)), strconv.Itoa(l.mostHeld), strconv.Itoa(l.opts().Hold.MaxClients)
	return row
}

func whole(d time.Duration) string { return count(int64(d / time.Second)) }

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
