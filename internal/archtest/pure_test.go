package archtest

import (
	"fmt"
	"go/token"
	"path"
	"slices"
	"testing"
)

// pure are the packages and files that decide: values in, values out. They can be tested by scripts, products and simulation only as
// long as nothing else gets in. Packages below a pure one are pure too.
var pure = []string{
	"raftstore/dcs", "raftstore/v2users", "pgctl/ha", "pgctl/postgres", "internal/config/dynamic", "internal/config/nearest", "internal/config/logline",
	"internal/doctor", "internal/whenever",
	"proxy/table.go", "proxy/pick.go", "api/rest/health.go", "test/check",
}

// impureBelow are packages below a pure one that are not: a writer is a client of a real server.
// What gathers the doctor's facts looks at the world for it.
var impureBelow = []string{"test/check/writer", "internal/doctor/gather"}

// worldly are the libraries through which the outer world gets in. net/netip and net/url are values and allowed.
var worldly = []string{
	"net", "net/http", "net/rpc", "os", "os/exec", "os/signal", "os/user", "log", "log/slog", "syscall", "golang.org/x/sys",
	"github.com/jackc/pgx", "github.com/hashicorp/raft", "google.golang.org/grpc", "go.etcd.io/etcd",
}

// clocks are the functions that look at a clock or wait for one.
var clocks = map[string][]string{
	"time":                        {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	module + "/internal/boottime": {"Now", "Until"},
}

func TestPurePackages(t *testing.T) {
	for _, bad := range checkPure(tree(t)) {
		t.Error(bad)
	}
}

func isPure(f source) bool {
	is := func(folder string) bool { return f.path == folder || within(f.pkg, folder) }
	return slices.ContainsFunc(pure, is) && !slices.ContainsFunc(impureBelow, is)
}

func checkPure(files []source) []string {
	var bad []string
	for _, f := range files {
		if !isPure(f) {
			continue
		}
		for _, imported := range f.imports() {
			for _, library := range worldly {
				if imported == library || path.Dir(library) != "." && within(imported, library) {
					bad = append(bad, fmt.Sprintf("%s is pure and imports %s", f.path, imported))
				}
			}
		}
		f.eachUse(func(pkg, name string, pos token.Pos) {
			if slices.Contains(clocks[pkg], name) {
				bad = append(bad, fmt.Sprintf("%s: pure code looks at a clock: %s.%s", f.at(pos), path.Base(pkg), name))
			}
		})
	}
	return bad
}

func TestPurityRulesBite(t *testing.T) {
	for _, tc := range []struct {
		file, text string
		bad        bool
	}{
		{"pgctl/ha/x.go", `import "net"`, true},
		{"pgctl/ha/x.go", `import "net/netip"`, false},
		{"pgctl/ha/sim/x.go", `import "os"`, true},
		{"pgctl/ha/x.go", `import "github.com/jackc/pgx/v5/pgconn"`, true},
		{"pgctl/ha/x.go", "import \"time\"\nvar x = time.Now()", true},
		{"pgctl/ha/x.go", "import clock \"time\"\nvar x = clock.Now", true},
		{"pgctl/ha/x.go", "import \"time\"\nvar x time.Duration", false},
		{"pgctl/ha/x.go", "import \"quorate/internal/boottime\"\nvar x = boottime.Now()", true},
		{"pgctl/ha/x.go", "import \"quorate/internal/boottime\"\nvar x boottime.Instant", false},
		{"proxy/pick.go", `import "log/slog"`, true},
		{"proxy/router.go", `import "log/slog"`, false},
		{"test/check/writer/x.go", `import "net"`, false},
	} {
		f, err := parse(tc.file, []byte("package x\n"+tc.text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if bad := checkPure([]source{f}); (len(bad) > 0) != tc.bad {
			t.Errorf("%s with %q: %q, want a violation: %v", tc.file, tc.text, bad, tc.bad)
		}
	}
}
