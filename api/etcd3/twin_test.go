package etcd3_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"quorate/internal/etcdtest"
)

// An etcd 3.4 and this front end, asked the same by JSON, answer the same: status, text and code of an error, revisions,
// keys, everything but who answers and in which term. (3.4 has not the second form of errors; see TestGatewayErrors.)
func TestAgainstEtcd(t *testing.T) {
	twin := &frontEnd{TB: t, url: etcdtest.Start(t)}
	f := start(t)
	rng := rand.New(rand.NewPCG(20261123, 1))
	for _, lease := range []string{"1001", "1002"} {
		same(t, twin, f, "/v3/lease/grant", `{"ID":"`+lease+`","TTL":"5000"}`)
	}
	for range 600 {
		path, body := drawCall(rng)
		same(t, twin, f, path, body)
	}
}

func same(t *testing.T, twin, f *frontEnd, path, body string) {
	t.Helper()
	wantCode, want := twin.post(path, body)
	gotCode, got := f.post(path, body)
	if wantCode == http.StatusPreconditionFailed {
		wantCode = http.StatusBadRequest // as the gateway of 3.5 has it for FailedPrecondition
	}
	w, g := normal(t, want), normal(t, got)
	if strings.HasSuffix(path, "/txn") && wantCode >= 400 && gotCode >= 400 {
		return // of two faults in one transaction etcd 3.7, whose checks we run, reports another than 3.4
	}
	if wantCode != gotCode || w != g {
		t.Fatalf("%s %s\netcd %d %s\nhere %d %s", path, body, wantCode, w, gotCode, g)
	}
}

// normal is an answer without what must differ.
func normal(t *testing.T, answer string) string {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(answer), &v); err != nil {
		return answer
	}
	if _, failed := v["code"]; failed {
		return fmt.Sprint(v["code"], v["error"], v["message"])
	}
	if h, ok := v["header"].(map[string]any); ok {
		delete(h, "cluster_id")
		delete(h, "member_id")
		delete(h, "raft_term")
	}
	delete(v, "TTL") // the seconds that are left
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// drawCall makes a call over a small key space, valid or not.
func drawCall(rng *rand.Rand) (path, body string) {
	d := drawer{rng}
	switch d.n(10) {
	case 0, 1:
		return "/v3/kv/put", d.object(d.put())
	case 2, 3:
		return "/v3/kv/range", d.object(d.rng())
	case 4:
		return "/v3/kv/deleterange", d.object(d.del())
	case 5, 6, 7, 8:
		return "/v3/kv/txn", d.txn(2)
	}
	switch d.n(6) {
	case 0:
		return "/v3/kv/compaction", fmt.Sprintf(`{"revision":"%d","physical":true}`, d.n(200))
	case 1:
		return "/v3/lease/timetolive", `{"ID":"` + d.lease() + `","keys":true}`
	case 2:
		return "/v3/lease/grant", `{"ID":"` + d.pick("1001", "1002") + `","TTL":"5000"}`
	case 3:
		return "/v3/lease/leases", `{}`
	case 4:
		return "/v3/lease/revoke", `{"ID":"1003"}` // which is never there
	}
	return "/v3/kv/range", `{"key":"AA==","range_end":"AA=="}` // everything
}

type drawer struct{ *rand.Rand }

func (d drawer) n(n int) int                   { return d.IntN(n) }
func (d drawer) pick(from ...string) string    { return from[d.n(len(from))] }
func (d drawer) lease() string                 { return d.pick("1001", "1002", "1003", "0") }
func (d drawer) key() string                   { return `"key":"` + b64(d.pick("a", "b", "c", "d", "e", "f")) + `"` }
func (d drawer) object(fields []string) string { return "{" + strings.Join(fields, ",") + "}" }

// maybe adds a field one time in n.
func (d drawer) maybe(n int, fields []string, field string) []string {
	if d.n(n) == 0 {
		return append(fields, field)
	}
	return fields
}

func (d drawer) put() (f []string) {
	if d.n(20) > 0 {
		f = append(f, d.key())
	}
	f = d.maybe(2, f, `"value":"`+b64(d.pick("1", "2", "3"))+`"`)
	f = d.maybe(4, f, `"lease":"`+d.lease()+`"`)
	f = d.maybe(3, f, `"prev_kv":true`)
	f = d.maybe(8, f, `"ignore_value":true`)
	return d.maybe(8, f, `"ignore_lease":true`)
}

// rng leaves keys_only out: since 3.7 etcd's mvcc, which we run, gives no lease with it.
func (d drawer) rng() (f []string) {
	if d.n(20) > 0 {
		f = append(f, d.key())
	}
	f = d.maybe(2, f, `"range_end":"`+b64(d.pick("c", "e", "g", "\x00", "a"))+`"`)
	f = d.maybe(4, f, fmt.Sprintf(`"revision":"%d"`, d.n(200)))
	f = d.maybe(4, f, fmt.Sprintf(`"limit":"%d"`, d.n(4)))
	f = d.maybe(4, f, `"sort_order":"`+d.pick("NONE", "ASCEND", "DESCEND")+`"`)
	f = d.maybe(4, f, `"sort_target":"`+d.pick("KEY", "VERSION", "CREATE", "MOD", "VALUE")+`"`)
	f = d.maybe(6, f, `"count_only":true`)
	f = d.maybe(6, f, `"serializable":true`)
	f = d.maybe(8, f, fmt.Sprintf(`"min_mod_revision":"%d"`, d.n(100)))
	return d.maybe(8, f, fmt.Sprintf(`"max_create_revision":"%d"`, d.n(100)))
}

func (d drawer) del() (f []string) {
	if d.n(20) > 0 {
		f = append(f, d.key())
	}
	f = d.maybe(3, f, `"range_end":"`+b64(d.pick("c", "e", "g"))+`"`)
	return d.maybe(3, f, `"prev_kv":true`)
}

func (d drawer) compare() string {
	target := d.pick("VERSION", "CREATE", "MOD", "VALUE", "LEASE")
	f := []string{d.key(), `"target":"` + target + `"`}
	f = d.maybe(2, f, `"result":"`+d.pick("EQUAL", "GREATER", "LESS", "NOT_EQUAL")+`"`)
	f = d.maybe(6, f, `"range_end":"`+b64("g")+`"`)
	switch target {
	case "VERSION":
		f = append(f, fmt.Sprintf(`"version":"%d"`, d.n(3)))
	case "CREATE":
		f = append(f, fmt.Sprintf(`"create_revision":"%d"`, d.n(2)*d.n(200)))
	case "MOD":
		f = append(f, fmt.Sprintf(`"mod_revision":"%d"`, d.n(2)*d.n(200)))
	case "VALUE":
		f = append(f, `"value":"`+b64(d.pick("1", "2", "3"))+`"`)
	case "LEASE":
		f = append(f, `"lease":"`+d.lease()+`"`)
	}
	return d.object(f)
}

func (d drawer) txn(depth int) string {
	var compares []string
	for range d.n(3) {
		compares = append(compares, d.compare())
	}
	return fmt.Sprintf(`{"compare":[%s],"success":[%s],"failure":[%s]}`, strings.Join(compares, ","), d.ops(depth), d.ops(depth))
}

func (d drawer) ops(depth int) string {
	var ops []string
	for range d.n(4) {
		switch kind := d.n(7); {
		case kind < 2:
			ops = append(ops, `{"request_put":`+d.object(d.put())+`}`)
		case kind < 4:
			ops = append(ops, `{"request_range":`+d.object(d.rng())+`}`)
		case kind < 6:
			ops = append(ops, `{"request_delete_range":`+d.object(d.del())+`}`)
		case depth > 0:
			ops = append(ops, `{"request_txn":`+d.txn(depth-1)+`}`)
		}
	}
	return strings.Join(ops, ",")
}
