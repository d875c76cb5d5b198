package rest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/api/rest/openapitest"
)

type router struct{ killed string }

func (r *router) Status() any   { return map[string]int{"backends": 3} }
func (r *router) Sessions() any { return []string{"one"} }
func (r *router) Kill(id string) error {
	if id != "7" {
		return ErrNoSession
	}
	r.killed = id
	return nil
}

type storeMembers struct{ list []StoreMember }

func (m *storeMembers) List(context.Context) ([]StoreMember, error) { return m.list, nil }

func (m *storeMembers) Add(_ context.Context, name, peer string) (StoreMember, error) {
	if !strings.HasPrefix(peer, "http") {
		return StoreMember{}, ErrBadMember
	}
	m.list = append(m.list, StoreMember{ID: "a", Name: name, PeerURL: peer, Learner: true})
	return m.list[len(m.list)-1], nil
}

func (m *storeMembers) find(id string) int {
	return slices.IndexFunc(m.list, func(s StoreMember) bool { return s.ID == id })
}

func (m *storeMembers) Promote(_ context.Context, id string) error {
	i := m.find(id)
	if i < 0 {
		return ErrNoMember
	}
	m.list[i].Learner = false
	return nil
}

func (m *storeMembers) Remove(_ context.Context, id string) error {
	i := m.find(id)
	if i < 0 {
		return ErrNoMember
	}
	m.list = slices.Delete(m.list, i, i+1)
	return nil
}

// TestOpenAPI compares the document with the routes, both ways, and resolves its references.
func TestOpenAPI(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	_, body, _ := ask(s, "GET", "/v1/openapi.json", "")
	var doc struct {
		OpenAPI    string
		Paths      map[string]map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil || !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Fatal(err, doc.OpenAPI)
	}
	routes := map[string]bool{}
	for _, r := range s.v1Table() {
		routes[r.method+" "+r.path] = true
		if _, ok := doc.Paths[r.path][strings.ToLower(r.method)]; !ok {
			t.Errorf("%s %s is not described", r.method, r.path)
		}
	}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			if !routes[strings.ToUpper(method)+" "+path] {
				t.Errorf("%s %s is described and not served", method, path)
			}
			if op["summary"] == "" || op["responses"] == nil {
				t.Errorf("%s %s says nothing", method, path)
			}
			if wrong := parameters(path, op); wrong != "" {
				t.Errorf("%s %s: %s", method, path, wrong)
			}
		}
	}
	for part := range strings.SplitSeq(body, `"$ref": "#/components/schemas/`) {
		name, _, _ := strings.Cut(part, `"`)
		if _, ok := doc.Components.Schemas[name]; !ok && !strings.HasPrefix(part, "{") {
			t.Errorf("the schema %s does not exist", name)
		}
	}
}

// parameters says what is wrong with those of an operation: the path's are described, each as a text that must be there, and no others in a path.
func parameters(path string, op map[string]any) string {
	described := map[string]bool{}
	list, _ := op["parameters"].([]any)
	for _, p := range list {
		p, _ := p.(map[string]any)
		name, _ := p["name"].(string)
		if p["in"] != "path" {
			continue
		}
		if !strings.Contains(path, "{"+name+"}") || p["required"] != true || p["schema"] == nil {
			return "parameter " + name
		}
		described[name] = true
	}
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok && !described[strings.TrimSuffix(name, "}")] {
			return part + " is not described"
		}
	}
	return ""
}

// TestOpenAPIAnswers holds answers of a node that has everything to tell, and of one that has next to nothing, against the document.
func TestOpenAPIAnswers(t *testing.T) {
	full := fullMemory()
	empty := newMemory()
	for name, s := range map[string]*Server{
		"full": newTestServer(t, full, func(o *Options) {
			o.Members = &storeMembers{[]StoreMember{{ID: "1", Name: "n1", PeerURL: "http://x:2380", ClientURL: "http://x:2379", Leader: true, Healthy: true}}}
		}),
		"empty": newTestServer(t, empty, nil),
	} {
		asked := openapitest.Check(t, start(t, s))
		if len(asked) < 10 {
			t.Errorf("%s: only %v can be read", name, asked)
		}
	}
}

// TestOpenAPIFields compares the schemas with what is really answered: no field that is not described.
func TestOpenAPIFields(t *testing.T) {
	m := fullMemory()
	m.pledge = func(PledgeRequest) (PledgeAnswer, error) { return PledgeAnswer{}, nil }
	s := newTestServer(t, m, func(o *Options) {
		o.Members = &storeMembers{[]StoreMember{{ID: "1", ClientURL: "x", Applied: 5}}}
	})
	var doc map[string]any
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	for path, schema := range map[string]string{"/v1/status": "Node", "/v1/cluster": "Cluster", "/v1/history": "History", "/v1/why": "Why"} {
		_, body, _ := ask(s, "GET", path, "")
		described(t, doc, path, body, schema)
	}
	_, body, _ := ask(s, "POST", "/v1/pledge", `{"term":{},"from":"x"}`)
	described(t, doc, "/v1/pledge", body, "PledgeAnswer")
	_, body, _ = ask(s, "GET", "/v1/nothing", "")
	described(t, doc, "problem", body, "Problem")
	_, body, _ = ask(s, "GET", "/v1/store/members", "")
	described(t, doc, "member", strings.TrimSuffix(strings.TrimPrefix(body, `{"members": [`), "]}"), "StoreMember")
}

// fullMemory is a node that has something to tell of everything.
func fullMemory() *memory {
	m := cluster(`{"pause":true}`)
	m.put(m.keys.Failover(), `{"leader":"n1","member":"n2","scheduled_at":"2099-01-01T00:00:00+00:00"}`)
	m.put(m.keys.Released(), `{"term":{"cluster":7,"rev":2},"from":"n1","lsn":5}`)
	m.put(m.keys.Unfenced(), `{"node":"n1","term":{"cluster":7,"rev":2}}`)
	m.put(m.keys.Losses(), `[{"node":"n2","timeline":1,"bytes":16}]`)
	m.put(m.keys.History(), `[[1,100,"x","2026-11-23T06:00:00+00:00","n1"]]`)
	m.put(m.keys.Status(), `broken`)
	full := primaryStatus()
	full.Operation = &Operation{Kind: "clone", Done: 5, Total: 10, Text: "copying"}
	full.PendingRestart = map[string]Change{"a": {"1", "2"}}
	full.ScheduledRestart = &RestartRequest{Schedule: time.Unix(4e9, 0), Role: RolePrimary, PostgresVersion: "15.7", Pending: true, Timeout: time.Minute}
	m.publish(full)
	m.decisions = []DecisionRecord{{time.Unix(1, 0), "code", "text", "gave up", []string{"act"}}}
	return m
}

func described(t *testing.T, doc map[string]any, where, body, schema string) {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v in %s", where, err, body)
	}
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	checkFields(t, schemas, where, v, schemas[schema].(map[string]any))
}

func checkFields(t *testing.T, schemas map[string]any, where string, v any, schema map[string]any) {
	if ref, ok := schema["$ref"].(string); ok {
		schema = schemas[ref[strings.LastIndex(ref, "/")+1:]].(map[string]any)
	}
	switch v := v.(type) {
	case map[string]any:
		props, _ := schema["properties"].(map[string]any)
		for key, value := range v {
			sub, ok := props[key].(map[string]any)
			switch {
			case ok:
				checkFields(t, schemas, where+"."+key, value, sub)
			case schema["additionalProperties"] == nil && len(props) > 0:
				t.Errorf("%s.%s is not described", where, key)
			}
		}
	case []any:
		items, ok := schema["items"].(map[string]any)
		if !ok && len(v) > 0 {
			t.Errorf("%s is a list, and not described as one", where)
		}
		for i, item := range v {
			checkFields(t, schemas, fmt.Sprintf("%s[%d]", where, i), item, items)
		}
	}
}

func TestV1Actions(t *testing.T) {
	m := cluster(`{}`)
	m.restart = func(RestartRequest) error { return &BusyError{"clone"} }
	m.cancel = func() error { return ErrNoRestart }
	m.reinitialize = func(ReinitRequest) error { return nil }
	s := newTestServer(t, m, nil)
	for _, c := range []struct {
		method, path, body string
		code               int
		text               string
	}{
		{"POST", "/v1/pause", "", 200, `{"message": "cluster management is paused"}`},
		{"GET", "/v1/config", "", 200, `{"pause": true}`},
		{"POST", "/v1/resume", "", 200, `{"message": "cluster management is resumed"}`},
		{"PATCH", "/v1/config", `{"ttl":25}`, 200, `{"ttl": 25}`},
		{"PUT", "/v1/config", `{"ttl":26}`, 200, `{"ttl": 26}`},
		{"PATCH", "/v1/config", `[]`, 400, `"code": "bad_request"`},
		{"POST", "/v1/restart", "", 503, `{"error": {"code": "unavailable", "message": "clone already in progress"}}`},
		{"DELETE", "/v1/restart", "", 404, `"no restarts are scheduled"`},
		{"POST", "/v1/restart", `{"role":"x"}`, 400, `"bad_request"`},
		{"POST", "/v1/reload", "", 202, `{"message": "reload scheduled"}`},
		{"POST", "/v1/reinitialize", "", 200, `{"message": "reinitialize started"}`},
		{"POST", "/v1/switchover", `{"leader":"n9"}`, 412, `{"error": {"code": "not_possible", "message": "leader name does not match"}}`},
		{"POST", "/v1/failover", `{}`, 400, `specific candidate`},
		{"DELETE", "/v1/switchover", "", 404, `"no switchover is scheduled"`},
		{"GET", "/v1/router", "", 404, `no router`},
		{"GET", "/v1/store/members", "", 404, `its own tools`},
		{"GET", "/v1/operation", "", 200, `{"operation": null}`},
		{"GET", "/v1/why", "", 200, `"decisions": []`},
		{"GET", "/v1/history", "", 200, `{"timelines": [], "losses": []}`},
		{"GET", "/v1/nothing", "", 404, `openapi.json`},
		{"PUT", "/v1/status", "", 404, `openapi.json`},
		{"GET", "/v1/ui", "", 200, `<!DOCTYPE html>`},
	} {
		if code, text, _ := ask(s, c.method, c.path, c.body); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, code, text)
		}
	}
}

func TestV1Guarded(t *testing.T) {
	s := newTestServer(t, newMemory(), func(o *Options) {
		o.Config.Username = "u"
		o.Router, o.Members = &router{}, &storeMembers{}
	})
	for _, r := range s.v1Table() {
		if r.path == "/v1/events" { // a stream, which does not end
			continue
		}
		code, _, _ := ask(s, r.method, strings.ReplaceAll(r.path, "{id}", "7"), "")
		if open := r.method == "GET" && r.path != "/v1/router/sessions"; (code == 401) == open {
			t.Errorf("%s %s without a password: %d", r.method, r.path, code)
		}
	}
}

// A data host that is gone for good is forgotten; one that reports, or that may take writes in a pause, is not.
func TestForgetMember(t *testing.T) {
	m := cluster(`{}`)
	s := newTestServer(t, m, nil)
	m.put(m.keys.Roster(), `{"gone":"http://gone","n1":"http://n1","paused":"http://paused"}`)
	m.put(m.keys.Unfenced(), `{"node":"paused"}`)
	for _, c := range []struct {
		name string
		code int
		text string
	}{
		{"n1", 412, "n1 reports"},
		{"paused", 412, "may take writes without a lease"},
		{"nobody", 404, "knows no data host nobody"},
		{"gone", 200, "gone is forgotten"},
		{"gone", 404, "knows no data host gone"},
	} {
		if code, text, _ := ask(s, "DELETE", "/v1/members/"+c.name, ""); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s: %d %s", c.name, code, text)
		}
	}
	if got := m.value(m.keys.Roster()); got != `{"n1":"http://n1","paused":"http://paused"}` {
		t.Errorf("the roster is %s", got)
	}
	m.put(m.keys.Roster(), `{"gone":"http://gone"}`)
	lost := newTestServer(t, m, func(o *Options) { o.Backend = racing{m, m.keys.Roster(), `{"gone":"http://gone","new":"http://new"}`} })
	if code, _, _ := ask(lost, "DELETE", "/v1/members/gone", ""); code != 409 || !strings.Contains(m.value(m.keys.Roster()), "new") {
		t.Errorf("another host came first: %d, %s", code, m.value(m.keys.Roster()))
	}
}

func TestV1RouterAndStore(t *testing.T) {
	rt, members := &router{}, &storeMembers{}
	s := newTestServer(t, newMemory(), func(o *Options) { o.Router, o.Members = rt, members })
	for _, c := range []struct {
		method, path, body string
		code               int
		text               string
	}{
		{"GET", "/v1/router", "", 200, `{"backends": 3}`},
		{"GET", "/v1/router/sessions", "", 200, `{"sessions": ["one"]}`},
		{"DELETE", "/v1/router/sessions/7", "", 200, "session 7 is ended"},
		{"DELETE", "/v1/router/sessions/8", "", 404, "no such session"},
		{"GET", "/v1/store/members", "", 200, `{"members": []}`},
		{"POST", "/v1/store/members", `{"name":"n4"}`, 400, "peer_url"},
		{"POST", "/v1/store/members", `{"name":"n4","peer_url":"nonsense"}`, 400, "expected http://address:2380"},
		{"POST", "/v1/store/members", `{"name":"n4","peer_url":"http://x:2380"}`, 201, `"learner": true`},
		{"POST", "/v1/store/members/a/promote", "", 200, "member a is a voter"},
		{"POST", "/v1/store/members/b/promote", "", 404, "no such member"},
		{"GET", "/v1/store/members", "", 200, `"learner": false`},
		{"DELETE", "/v1/store/members/a", "", 200, "member a is removed"},
		{"DELETE", "/v1/store/members/a", "", 404, "no such member"},
	} {
		if code, text, _ := ask(s, c.method, c.path, c.body); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s %s: %d %s", c.method, c.path, code, text)
		}
	}
	if rt.killed != "7" {
		t.Error("nothing was killed")
	}
}

// TestEvents reads a stream as a browser does: state first, then changes, and an end when the server ends.
func TestEvents(t *testing.T) {
	m := cluster(`{}`)
	s := newTestServer(t, m, nil)
	base := start(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", base+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (kind, data string) {
		for lines.Scan() {
			if k, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = k
			} else if d, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				data += d
			} else if lines.Text() == "" {
				return kind, data
			}
		}
		return "", ""
	}
	expect := func(kind, part string) {
		t.Helper()
		if k, data := next(); k != kind || !strings.Contains(data, part) || !json.Valid([]byte(data)) {
			t.Fatalf("%s: %s; want %s with %s", k, data, kind, part)
		}
	}
	expect("status", `"name":"n1"`)
	expect("cluster", `"leader":"n1"`)
	m.put(m.keys.Leader(), "n2")
	expect("status", `"name":"n1"`)
	expect("cluster", `"leader":"n2"`)
	m.events <- Event{"decision", json.RawMessage("{\n\"text\":\"because\"}")}
	expect("decision", "because")
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if k, data := next(); k != "" {
		t.Errorf("after the end: %s %s", k, data)
	}
	if n := s.streams.Load(); n != 0 {
		t.Errorf("%d streams are counted as open", n)
	}
}

func TestEventsLimit(t *testing.T) {
	s := newTestServer(t, newMemory(), nil)
	s.streams.Store(maxStreams)
	if code, _, _ := ask(s, "GET", "/v1/events", ""); code != 503 || s.streams.Load() != maxStreams {
		t.Errorf("one too many: %d", code)
	}
}

func TestNowNamesTheOperation(t *testing.T) {
	begun := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const waiting = "an operation is in progress; the leader is pg3"
	for _, c := range []struct {
		reason string
		op     *Operation
		want   string
	}{
		{waiting, nil, waiting},
		{"no action. I am (pg1)", &Operation{Kind: "clone from pg3", Since: begun}, "no action. I am (pg1)"},
		{waiting, &Operation{Kind: "restart", Since: begun}, "restart, for 1m15s; the leader is pg3"},
		{waiting, &Operation{Kind: "clone from pg3", Since: begun, Text: "copy", Done: 3 << 20, Total: 12 << 20}, "clone from pg3: copy, 3 of 12 MB, for 1m15s; the leader is pg3"},
		{waiting, &Operation{Kind: "clone from pg3", Since: begun, Done: 3 << 20}, "clone from pg3, 3 MB, for 1m15s; the leader is pg3"},
	} {
		if got := nowText(&NodeStatus{Reason: c.reason, Operation: c.op}, begun.Add(75*time.Second)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
