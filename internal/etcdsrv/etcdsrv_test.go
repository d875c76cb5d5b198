package etcdsrv

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"quorate/internal/etcdsrv/dnstest"
)

func TestFind(t *testing.T) {
	peer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/members" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, `[{"name":"a","clientURLs":["http://10.0.0.1:2379"]},{"name":"b","clientURLs":["http://10.0.0.2:2379"]}]`)
	}))
	t.Cleanup(peer.Close)
	_, peerPort, _ := net.SplitHostPort(peer.Listener.Addr().String())
	r := dnstest.Start(t, map[string][]string{
		"_etcd-client-ssl._tcp.tls.test.":        {"e1.tls.test. 2379", "e2.tls.test. 2380"},
		"_etcd-client._tcp.tls.test.":            {"never.tls.test. 1"},
		"_etcd-client._tcp.plain.test.":          {"e1.plain.test. 2379"},
		"_etcd-client-blue._tcp.plain.test.":     {"blue.plain.test. 2379"},
		"_etcd-ssl._tcp.old.test.":               {"e1.old.test. 4001"},
		"_etcd._tcp.older.test.":                 {"e1.older.test. 4001"},
		"_etcd-server._tcp.peers.test.":          {"localhost. " + peerPort},
		"_etcd-server-ssl-blue._tcp.peers.test.": {"localhost. 1"},
		"_etcd-server-blue._tcp.peers.test.":     {"localhost. " + peerPort},
	})
	for _, c := range []struct {
		domain, suffix string
		want           []string
	}{
		{"tls.test", "", []string{"https://e1.tls.test:2379", "https://e2.tls.test:2380"}},
		{"plain.test", "", []string{"http://e1.plain.test:2379"}},
		{"plain.test", "blue", []string{"http://blue.plain.test:2379"}},
		{"old.test", "", []string{"https://e1.old.test:4001"}},
		{"older.test", "", []string{"http://e1.older.test:4001"}},
		{"peers.test", "", []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379"}},
		{"peers.test", "blue", []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379"}}, // past peers that do not answer
	} {
		got, err := Find(t.Context(), r, c.domain, c.suffix)
		slices.Sort(got)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v, %v", c.domain, c.suffix, got, err)
		}
	}
	for domain, suffix := range map[string]string{"none.test": "", "tls.test": "blue"} {
		if got, err := Find(t.Context(), r, domain, suffix); !errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "_tcp."+domain) {
			t.Errorf("%s %s: %v, %v", domain, suffix, got, err)
		}
	}
}
