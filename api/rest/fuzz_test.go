package rest

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzWrites holds that no body brings the API down, or gets an answer that no client of Patroni's knows, and that what a change of the
// configuration leaves in the store can be read again.
func FuzzWrites(f *testing.F) {
	paths := []struct{ method, path string }{
		{"PATCH", "/config"}, {"PUT", "/config"}, {"POST", "/restart"}, {"POST", "/reinitialize"}, {"POST", "/switchover"}, {"POST", "/failover"},
		{"POST", "/failsafe"}, {"POST", "/reload"}, {"POST", "/mpp"}, {"DELETE", "/restart"}, {"DELETE", "/switchover"}, {"POST", "/v1/pledge"},
	}
	for i := range paths {
		for _, body := range []string{
			``, `{}`, `[]`, `null`, `{"ttl":null,"slots":{"a":null,"b":0}}`, `{"schedule":"6:30pm","role":"replica","timeout":"x"}`, `{"leader":"n1","candidate":"n2","scheduled_at":"1"}`,
			`{"leader":"n1","candidate":"n2"}`, `{"candidate":["n2"]}`, `{"force":"yes","from_leader":1}`, `{"name":"n1","slots":{"a":-1},"ttl_ms":1e300}`, `{"postgres_version":"9","restart_pending":{}}`, "{\"a\":\"\xff\"}",
			`{"a":` + strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat(`}`, 201),
		} {
			f.Add(uint8(i), body)
		}
	}
	known := []int{200, 202, 400, 403, 404, 409, 411, 412, 413, 415, 422, 500, 501, 502, 503}
	f.Fuzz(func(t *testing.T, which uint8, body string) {
		m := cluster(`{"ttl":30}`)
		m.restart = func(RestartRequest) error { return nil }
		m.schedule = func(RestartRequest) error { return nil }
		m.cancel = func() error { return ErrNoRestart }
		m.reinitialize = func(ReinitRequest) error { return nil }
		m.failsafe = func(FailsafeRequest) (uint64, error) { return 1, nil }
		m.pledge = func(PledgeRequest) (PledgeAnswer, error) { return PledgeAnswer{}, nil }
		s := newTestServer(t, m, nil)
		p := paths[int(which)%len(paths)]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond) // what is accepted waits for its outcome
		defer cancel()
		defer context.AfterFunc(ctx, s.end)() // an action outlives its request, and not its server
		code, text, _ := askFor(ctx, s, p.method, p.path, body)
		ok := false
		for _, k := range known {
			ok = ok || k == code
		}
		if !ok {
			t.Fatalf("%s %s %q: %d %s", p.method, p.path, body, code, text)
		}
		if code, text, _ := ask(s, http.MethodGet, "/config", ""); code != http.StatusOK {
			t.Fatalf("after %s %s %q the configuration cannot be read: %d %s", p.method, p.path, body, code, text)
		}
	})
}
