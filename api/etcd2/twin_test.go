package etcd2_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"testing"

	"quorate/internal/etcdtest"
)

// An etcd 3.4 and this front end, asked the same, answer the same.
func TestAgainstEtcd(t *testing.T) {
	twin := etcdtest.StartV2(t)
	f := start(t)
	base := call(t, http.MethodGet, twin+"/v2/keys/", nil)
	offset, err := strconv.ParseUint(base.header.Get("X-Etcd-Index"), 10, 64) // its own records come first
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(20261123, 1))
	for i := range 600 {
		method, path, form := draw(rng, offset)
		if updatesDirectory(t, f, path, form(0)) {
			continue
		}
		want := call(t, method, twin+path, form(offset))
		got := call(t, method, f.url+path, form(0))
		w, g := normal(t, want, offset), normal(t, got, 0)
		if w != g {
			t.Fatalf("request %d: %s %s %s\netcd %s\nhere %s", i, method, path, form(0).Encode(), w, g)
		}
	}
}

// updatesDirectory is the one difference: the v2store of etcd 3.7, which we run, refuses to update a directory, even if it
// is only to give it another TTL.
func updatesDirectory(t *testing.T, f *frontEnd, path string, form url.Values) bool {
	t.Helper()
	if exist, _ := strconv.ParseBool(form.Get("prevExist")); !exist || form.Get("value") != "" {
		return false
	}
	a := call(t, http.MethodGet, f.url+path, nil)
	node, _ := a.json(t)["node"].(map[string]any)
	return node["dir"] == true
}

// draw makes a request from a small key space and every parameter; an index in it is relative to the offset.
func draw(rng *rand.Rand, offset uint64) (method, path string, form func(offset uint64) url.Values) {
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	sometimes := func(n int) bool { return rng.IntN(n) == 0 }
	method = pick("GET", "GET", "PUT", "PUT", "PUT", "PUT", "POST", "DELETE", "DELETE", "HEAD")
	path = "/v2/keys/" + pick("", "a", "b", "a/b", "a/c", "a/b/c", "d/_hidden", "d", "d/e", "_h", "%20x", "ü")
	static := url.Values{}
	if method == "PUT" || method == "POST" {
		if !sometimes(10) {
			static.Set("value", pick("", "1", "2", "3", "ü€", "a b&c"))
		}
		if sometimes(4) {
			static.Set("ttl", pick("", "1000", "2000", "x", "-1"))
		}
		if sometimes(6) {
			static.Set("refresh", pick("true", "false", "x"))
		}
		if sometimes(8) {
			static.Set("noValueOnSuccess", pick("true", "false", "x"))
		}
	}
	for _, name := range []string{"dir", "recursive", "sorted", "quorum"} {
		if sometimes(5) {
			static.Set(name, pick("true", "true", "true", "false", "1", "x"))
		}
	}
	if method != "GET" && method != "HEAD" {
		if sometimes(5) {
			static.Set("prevValue", pick("1", "2", "3", ""))
		}
		if sometimes(5) {
			static.Set("prevExist", pick("true", "false", "x"))
		}
	}
	if method == "GET" {
		static.Set("sorted", "true") // the order of children is that of a map otherwise
	}
	var index *uint64
	if sometimes(6) {
		n := uint64(rng.IntN(300))
		index = &n
	}
	inQuery := method == "GET" || method == "HEAD" || method == "DELETE" // which have no body that is read
	if inQuery {
		path += "?" + static.Encode()
		return method, path, func(uint64) url.Values { return nil }
	}
	return method, path, func(offset uint64) url.Values {
		all := url.Values{}
		for k, v := range static {
			all[k] = v
		}
		if index != nil {
			all.Set("prevIndex", strconv.FormatUint(*index+offset, 10))
		}
		return all
	}
}

var uniqueName = regexp.MustCompile(`/(\d{20})`)

// normal is an answer with indexes counted from the offset and without dates.
func normal(t *testing.T, a answer, offset uint64) string {
	t.Helper()
	index, _ := strconv.ParseUint(a.header.Get("X-Etcd-Index"), 10, 64)
	if index >= offset {
		index -= offset
	}
	body := a.body
	var v any
	if err := json.Unmarshal([]byte(a.body), &v); err == nil {
		b, err := json.Marshal(rebase(v, offset))
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	return fmt.Sprintf("%d index %d allow %q: %s", a.code, index, a.header.Get("Allow"), body)
}

func rebase(v any, offset uint64) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "expiration")
		for name, x := range v {
			switch n, isNumber := x.(float64); {
			case isNumber && (name == "index" || name == "modifiedIndex" || name == "createdIndex") && n >= float64(offset):
				v[name] = n - float64(offset)
			case isNumber && name == "ttl":
				v[name] = float64(int(n+50) / 100) // of 1000 and 2000, within the seconds that the test takes
			default:
				v[name] = rebase(x, offset)
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = rebase(v[i], offset)
		}
		return v
	case string:
		return rebaseText(v, offset)
	}
	return v
}

var compared = regexp.MustCompile(`\[(\d+) != (\d+)\]`)

// rebaseText corrects the indexes in names that POST has made, and in the cause of a comparison that failed.
func rebaseText(s string, offset uint64) string {
	s = uniqueName.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.ParseUint(m[1:], 10, 64)
		return fmt.Sprintf("/%020d", n-offset)
	})
	return compared.ReplaceAllStringFunc(s, func(m string) string {
		parts := compared.FindStringSubmatch(m)
		a, _ := strconv.ParseUint(parts[1], 10, 64)
		b, _ := strconv.ParseUint(parts[2], 10, 64)
		if b <= 3 && a <= 3 { // a comparison of values, which are 1, 2 and 3
			return m
		}
		return fmt.Sprintf("[%d != %d]", a-offset, b-offset)
	})
}

// FuzzPaths: any path and query is answered, with JSON or an HTTP error, and nothing panics.
func FuzzPaths(f *testing.F) {
	for _, s := range []string{"GET /v2/keys/a?recursive=true", "PUT /v2/keys/../x?value=1", "DELETE /v2/keys/?recursive=true", "POST /v2/keys//a//?dir=1", "PUT /v2/keys/%00?value=%ff&ttl=0", "PUT /v2/auth/users/%ff", "DELETE /v2/auth/roles/../x"} {
		f.Add(s)
	}
	fe := start(f)
	f.Fuzz(func(t *testing.T, line string) {
		fe.fuzz(t, line)
	})
}
