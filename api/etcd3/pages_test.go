package etcd3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"

	"quorate/api/etcd3"
	"quorate/internal/raftlab"
	"quorate/internal/solostore"
)

func (f *frontEnd) get(path string) (int, string) {
	f.Helper()
	resp, err := f.http().Get(f.url + path)
	if err != nil {
		f.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func TestPages(t *testing.T) {
	f := start(t)
	alarm := func(action pb.AlarmRequest_AlarmAction, kind pb.AlarmType) {
		t.Helper()
		_, err := pb.NewMaintenanceClient(f.conn).Alarm(f.ctx(), &pb.AlarmRequest{Action: action, Alarm: kind, MemberID: solostore.MemberID})
		if err != nil {
			t.Fatal(err)
		}
	}
	check := func(path string, code int, want string) {
		t.Helper()
		gotCode, got := f.get(path)
		if gotCode != code || got != want {
			t.Errorf("%s: %d %q, want %d %q", path, gotCode, got, code, want)
		}
	}
	check("/version", 200, `{"etcdserver":"3.5.33","etcdcluster":"3.5.0"}`)
	check("/health", 200, `{"health":"true","reason":""}`)
	check("/livez", 200, "ok")
	check("/readyz", 200, "ok")
	check("/readyz?verbose", 200, "[+]data_corruption ok\n[+]linearizable_read ok\n[+]non_learner ok\n[+]serializable_read ok\nok")
	check("/readyz/linearizable_read", 200, "ok")

	alarm(pb.AlarmRequest_ACTIVATE, pb.AlarmType_NOSPACE)
	check("/health", 503, `{"health":"false","reason":"ALARM NOSPACE"}`)
	check("/health?exclude=NOSPACE", 200, `{"health":"true","reason":""}`)
	check("/readyz", 200, "ok")
	alarm(pb.AlarmRequest_DEACTIVATE, pb.AlarmType_NOSPACE)
	alarm(pb.AlarmRequest_ACTIVATE, pb.AlarmType_CORRUPT)
	check("/readyz/data_corruption", 503, "[-]data_corruption failed: alarm activated: CORRUPT")
	alarm(pb.AlarmRequest_DEACTIVATE, pb.AlarmType_CORRUPT)

	f.store.SetLeader(0)
	check("/health", 503, `{"health":"false","reason":"RAFT NO LEADER"}`)
	check("/health?serializable=true", 200, `{"health":"true","reason":""}`)
	check("/livez", 200, "ok")
	check("/readyz?exclude=linearizable_read", 200, "ok")
	check("/readyz", 503, "[+]data_corruption ok\n[-]linearizable_read failed: etcdserver: no leader\n[+]non_learner ok\n[+]serializable_read ok")

	resp, err := f.http().Post(f.url+"/health", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /health: %d", resp.StatusCode)
	}
}

func TestMetricsPage(t *testing.T) {
	f := start(t)
	f.put("k", "v")
	w := f.watch()
	w.create(&pb.WatchCreateRequest{Key: key("k")})
	for _, want := range []string{
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1`,
		`grpc_server_started_total{grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"} 1`,
		"etcd_network_client_grpc_received_bytes_total",
		`etcd_server_version{server_version="3.5.33"} 1`,
		`etcd_cluster_version{cluster_version="3.5"} 1`,
		`etcd_server_go_version{server_go_version="go1`,
	} {
		raftlab.Eventually(t, want, func() bool {
			_, page := f.get("/metrics")
			return strings.Contains(page, want)
		})
	}
}

// The rest of the HTTP side is the caller's.
func TestFurtherHandlers(t *testing.T) {
	f := start(t, func(o *etcd3.Options) {
		o.Handlers = map[string]http.Handler{"/v2/": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
		})}
	})
	if code, _ := f.get("/v2/keys"); code != http.StatusTeapot {
		t.Errorf("/v2/keys: %d", code)
	}
}
