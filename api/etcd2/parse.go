package etcd2

import (
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"
)

// keysPrefix is where the key space is mounted.
const keysPrefix = "/v2/keys"

// longestTTL keeps a TTL within what a time.Duration can add up to; nobody will see it end.
const longestTTL = 100 * 365 * 24 * time.Hour

// query is a request on /v2/keys as its parameters say it. They come in the URL or in a form body.
type query struct {
	Request
	sorted, quorum   bool
	wait, stream     bool
	waitIndex        uint64
	noValueOnSuccess bool
}

// parseQuery reads and checks the parameters. The order of the checks is etcd's: with two faults, the same one is reported.
// The error is a *v2error.Error.
func parseQuery(r *http.Request) (query, error) {
	if err := r.ParseForm(); err != nil {
		return query{}, fault(v2error.EcodeInvalidForm, err.Error())
	}
	f := form{values: r.Form}
	q := query{}
	q.Method = r.Method
	q.Path = path.Join("/", strings.TrimPrefix(r.URL.Path, keysPrefix))
	q.PrevIndex = f.index("prevIndex")
	q.waitIndex = f.index("waitIndex")
	q.Recursive = f.flag("recursive")
	q.sorted = f.flag("sorted")
	q.wait = f.flag("wait")
	q.Dir = f.flag("dir")
	q.quorum = f.flag("quorum")
	q.stream = f.flag("stream")
	if q.wait && r.Method != http.MethodGet {
		f.refuse(v2error.EcodeInvalidField, `"wait" can only be used with GET requests`)
	}
	q.PrevValue = f.text("prevValue")
	if f.has("prevValue") && q.PrevValue == "" {
		f.refuse(v2error.EcodePrevValueRequired, `"prevValue" cannot be empty`)
	}
	q.noValueOnSuccess = f.flag("noValueOnSuccess")
	q.TTL = f.ttl()
	q.PrevExist = f.optionalFlag("prevExist")
	q.Value = f.text("value")
	q.Refresh = f.refresh(q)
	return q, f.fault
}

// form reads parameters and keeps the first fault that it meets.
type form struct {
	values url.Values
	fault  error
}

func fault(code int, cause string) error { return v2error.NewError(code, cause, 0) }

func (f *form) refuse(code int, cause string) {
	if f.fault == nil {
		f.fault = fault(code, cause)
	}
}

func (f *form) has(name string) bool    { return len(f.values[name]) > 0 }
func (f *form) text(name string) string { return f.values.Get(name) }

func (f *form) index(name string) uint64 {
	if !f.has(name) {
		return 0
	}
	n, err := strconv.ParseUint(f.text(name), 10, 64)
	if err != nil {
		f.refuse(v2error.EcodeIndexNaN, `invalid value for "`+name+`"`)
	}
	return n
}

func (f *form) flag(name string) bool {
	if !f.has(name) {
		return false
	}
	b, err := strconv.ParseBool(f.text(name))
	if err != nil {
		f.refuse(v2error.EcodeInvalidField, `invalid value for "`+name+`"`)
	}
	return b
}

// optionalFlag is nil when the parameter is not there. etcd names it without quotes.
func (f *form) optionalFlag(name string) *bool {
	if !f.has(name) {
		return nil
	}
	b, err := strconv.ParseBool(f.text(name))
	if err != nil {
		f.refuse(v2error.EcodeInvalidField, "invalid value for "+name)
	}
	return &b
}

// ttl is nil when the parameter is not there or empty, which clears the TTL that a key has.
func (f *form) ttl() *time.Duration {
	if f.text("ttl") == "" {
		return nil
	}
	n, err := strconv.ParseUint(f.text("ttl"), 10, 64)
	if err != nil {
		f.refuse(v2error.EcodeTTLNaN, `invalid value for "ttl"`)
	}
	ttl := longestTTL
	if n < uint64(longestTTL/time.Second) {
		ttl = time.Duration(n) * time.Second
	}
	return &ttl
}

func (f *form) refresh(q query) bool {
	set := f.optionalFlag("refresh")
	if set == nil || !*set {
		return false
	}
	if q.Value != "" {
		f.refuse(v2error.EcodeRefreshValue, "A value was provided on a refresh")
	}
	if q.TTL == nil {
		f.refuse(v2error.EcodeRefreshTTLRequired, "No TTL value set")
	}
	return true
}
