package archtest

import (
	"fmt"
	"strings"
	"testing"
)

// layer is a part of the tree and the only parts of it that the part may import. The longest folder that matches a package is its layer, and a
// package may always import its own folder and what lies below it. A part that is not listed may be imported by nobody but the
// composition: new packages have to be given a place here.
type layer struct {
	folder string
	may    []string
}

// layers draws docs/design.md, section 3: cmd -> internal/node -> {api, proxy, pgctl, raftstore}, pgctl/ha -> {raftstore/dcs, pgctl/postgres}. The store knows no
// PostgreSQL, the failover manager no store, the router neither, and front ends see the store through their own interfaces.
var layers = []layer{
	{"cmd", []string{"api/client", "internal"}},
	{"internal/node", []string{"api", "internal", "pgctl", "proxy", "raftstore"}},
	{"internal/demo", []string{"api/client", "internal"}},
	{"internal/ctl", append([]string{"api/client", "api/clusterbody", "internal/config", "internal/dcsclient", "raftstore/dcs", "pgctl/postgres"}, tools...)},
	{"internal/config", tools},
	{"internal/gameday", []string{"api/client"}},
	{"internal/etcdhost", append([]string{"api/etcd2", "api/etcd3", "raftstore"}, tools...)},
	{"internal/dcsclient", append([]string{"raftstore/dcs"}, tools...)},
	{"internal/fence", tools},
	{"internal/gossip", tools},
	{"internal/etcdsrv", nil},
	{"internal/doctor", []string{"internal/config/dynamic"}},
	{"internal/doctor/gather", append([]string{"api/client", "internal/config", "internal/doctor", "internal/node", "pgctl/postgres"}, tools...)},
	{"internal/peertls", tools},
	{"internal/solostore", append([]string{"raftstore/dcs", "internal/dcsclient"}, tools...)},
	{"internal/raftlab", append([]string{"api/etcd2", "api/etcd3", "raftstore", "internal/soon"}, tools...)}, // of tests
	{"internal/etcdtest", []string{"internal/freeport", "internal/heard"}},                                   // of tests
	{"internal/watchdog", tools},
	{"internal/latest", nil},
	{"internal/logging", []string{"internal/config/logline"}},
	{"internal/boottime", nil},
	{"internal/pemkey", nil},
	{"internal/precedence", nil},
	{"internal/series", nil},
	{"internal/whenever", nil},

	{"raftstore", tools},
	{"raftstore/dcs", nil},
	{"raftstore/v2users", nil},
	{"pgctl/ha", []string{"raftstore/dcs", "pgctl/postgres", "internal/config/dynamic", "internal/boottime"}},
	{"pgctl/ha/syncset", []string{"pgctl/postgres"}},
	{"pgctl/postgres", nil},
	{"pgctl/instance", append([]string{"pgctl/postgres", "internal/config/dynamic", "internal/fence"}, tools...)},
	{"proxy", tools},
	{"api/rest", append([]string{"api/clusterbody", "raftstore/dcs", "pgctl/postgres", "internal/config/dynamic"}, tools...)},
	{"api/client", tools},
	{"api/clusterbody", []string{"raftstore/dcs", "internal/config/dynamic"}},
	{"api/etcd3", tools},
	{"api/etcd2", append([]string{"raftstore/v2users"}, tools...)},

	{"test", []string{"internal/boottime", "test"}},
}

// tools stand below everything and know nothing of the product.
var tools = []string{"internal/boottime", "internal/latest", "internal/pemkey", "internal/peertls", "internal/precedence", "internal/series", "internal/whenever"}

// foreign lists libraries by who may not know them: the store no HTTP, gRPC or PostgreSQL; the manager no consensus; the router no store.
var foreign = []struct{ folder, library string }{
	{"raftstore", "net/http"}, {"raftstore", "google.golang.org/grpc"}, {"raftstore", "github.com/jackc/pgx"},
	{"pgctl", "github.com/hashicorp/raft"}, {"pgctl", "go.etcd.io/etcd"}, {"pgctl", "google.golang.org/grpc"},
	{"proxy", "github.com/hashicorp/raft"}, {"proxy", "go.etcd.io/etcd"}, {"proxy", "google.golang.org/grpc"},
	{"api", "github.com/hashicorp/raft"}, {"api", "github.com/jackc/pgx"},
	{"internal/fence", "net/http"},
}

func TestWhoMayImportWhom(t *testing.T) {
	for _, bad := range checkImports(tree(t)) {
		t.Error(bad)
	}
}

func checkImports(files []source) []string {
	var bad []string
	for _, f := range files {
		for _, imported := range f.imports() {
			if inner, ok := strings.CutPrefix(imported, module+"/"); ok {
				if why := forbidden(f.pkg, inner); why != "" {
					bad = append(bad, fmt.Sprintf("%s imports %s: %s", f.path, inner, why))
				}
				continue
			}
			for _, rule := range foreign {
				if within(f.pkg, rule.folder) && within(imported, rule.library) {
					bad = append(bad, fmt.Sprintf("%s imports %s, which %s must not know", f.path, imported, rule.folder))
				}
			}
		}
	}
	return bad
}

// forbidden says why pkg may not import the other package of this tree; empty when it may.
func forbidden(pkg, other string) string {
	l, ok := layerOf(pkg)
	if !ok {
		return "its importer has no layer; give it one in internal/archtest"
	}
	if within(other, l.folder) {
		return ""
	}
	for _, folder := range l.may {
		if within(other, folder) {
			return ""
		}
	}
	return fmt.Sprintf("%s may import only %s", l.folder, strings.Join(append([]string{"itself"}, l.may...), ", "))
}

func layerOf(pkg string) (found layer, ok bool) {
	for _, l := range layers {
		if within(pkg, l.folder) && len(l.folder) > len(found.folder) {
			found, ok = l, true
		}
	}
	return found, ok
}

// within says whether a package is a folder or lies below it; versions of a module ("pgx/v5") are below it too.
func within(pkg, folder string) bool { return pkg == folder || strings.HasPrefix(pkg, folder+"/") }

func TestImportRulesBite(t *testing.T) {
	for _, tc := range []struct {
		file, imports string
		bad           bool
	}{
		{"pgctl/ha/decide.go", "quorate/raftstore/dcs", false},
		{"pgctl/ha/decide.go", "quorate/raftstore", true},
		{"pgctl/ha/decide.go", "quorate/pgctl/instance", true},
		{"pgctl/ha/sim/world.go", "quorate/pgctl/ha", false},
		{"pgctl/instance/start.go", "go.etcd.io/etcd/client/v3", true},
		{"raftstore/kv.go", "quorate/pgctl/postgres", true},
		{"raftstore/kv.go", "github.com/jackc/pgx/v5", true},
		{"raftstore/kv.go", "net/http", true},
		{"raftstore/kv.go", "net/netip", false},
		{"proxy/router.go", "quorate/raftstore/dcs", true},
		{"api/etcd3/kv.go", "quorate/raftstore", true},
		{"internal/node/node.go", "quorate/raftstore", false},
		{"internal/node/node.go", "quorate/test/lab", true},
		{"internal/fence/timer.go", "quorate/internal/node", true},
		{"internal/config/read.go", "quorate/internal/config/dynamic", false},
		{"cmd/quorate/run.go", "quorate/raftstore", true},
		{"brandnew/x.go", "quorate/internal/boottime", true},
	} {
		f, err := parse(tc.file, []byte("package x\nimport _ \""+tc.imports+"\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if bad := checkImports([]source{f}); (len(bad) > 0) != tc.bad {
			t.Errorf("%s importing %s: %q, want a violation: %v", tc.file, tc.imports, bad, tc.bad)
		}
	}
}
