package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
)

// globals are uses that tie a package to the process that it happens to be in: it could not be run twice, or in a test.
var globals = map[string][]string{
	"os":       {"Exit"},
	"log":      {"Fatal", "Fatalf", "Fatalln", "Print", "Printf", "Println", "Panic", "Panicf"},
	"log/slog": {"SetDefault", "Debug", "Info", "Warn", "Error", "Log", "InfoContext", "WarnContext", "ErrorContext"},
	"github.com/prometheus/client_golang/prometheus": {"MustRegister", "Register", "DefaultRegisterer", "DefaultGatherer"},
}

func TestNoProcessGlobals(t *testing.T) {
	for _, bad := range checkGlobals(tree(t)) {
		t.Error(bad)
	}
}

// checkGlobals leaves out package main, whose business the process is.
func checkGlobals(files []source) []string {
	var bad []string
	for _, f := range files {
		if f.file.Name.Name == "main" {
			continue
		}
		f.eachUse(func(pkg, name string, pos token.Pos) {
			if slices.Contains(globals[pkg], name) {
				bad = append(bad, fmt.Sprintf("%s: %s.%s in a package that does not own the process", f.at(pos), path.Base(pkg), name))
			}
		})
	}
	return bad
}

func TestGlobalRulesBite(t *testing.T) {
	for text, want := range map[string]bool{
		"package x\nimport \"os\"\nfunc f() { os.Exit(1) }":            true,
		"package main\nimport \"os\"\nfunc f() { os.Exit(1) }":         false,
		"package x\nimport \"log/slog\"\nfunc f() { slog.Info(\"\") }": true,
		"package x\nimport \"log/slog\"\nvar l *slog.Logger":           false,
	} {
		f, err := parse("x/x.go", []byte(text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		if bad := checkGlobals([]source{f}); (len(bad) > 0) != want {
			t.Errorf("%q: %q, want a violation: %v", text, bad, want)
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range tree(t) {
		documented[f.pkg] = documented[f.pkg] || f.file.Doc != nil
	}
	for pkg, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", pkg)
		}
	}
}

// Bounds on the size of files and functions, in lines: half of the files and nine in ten, and so for functions. One long file that is a list is
// no fault, many are.
const (
	fileHalf, fileMost         = 120, 400
	functionHalf, functionMost = 10, 40
)

func TestSizes(t *testing.T) {
	var files, functions []int
	var long []string
	for _, f := range tree(t) {
		files = append(files, f.lines)
		if f.lines > fileMost {
			long = append(long, fmt.Sprintf("%s: %d lines", f.path, f.lines))
		}
		for _, d := range f.file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			n := f.fset.Position(fn.End()).Line - f.fset.Position(fn.Pos()).Line + 1
			functions = append(functions, n)
			if n > 2*functionMost {
				long = append(long, fmt.Sprintf("%s: %s has %d lines", f.at(fn.Pos()), fn.Name.Name, n))
			}
		}
	}
	for _, m := range []struct {
		what       string
		sizes      []int
		half, most int
	}{{"files", files, fileHalf, fileMost}, {"functions", functions, functionHalf, functionMost}} {
		half, most := at(m.sizes, 0.5), at(m.sizes, 0.9)
		t.Logf("%d %s: half up to %d lines, nine in ten up to %d, the longest %d", len(m.sizes), m.what, half, most, at(m.sizes, 1))
		if half > m.half || most > m.most {
			t.Errorf("%s are long: half should have up to %d lines, nine in ten up to %d", m.what, m.half, m.most)
		}
	}
	t.Logf("longer than most:\n%s", strings.Join(long, "\n"))
}

// at is the size at a fraction of the sorted sizes.
func at(sizes []int, fraction float64) int {
	sort.Ints(sizes)
	return sizes[int(fraction*float64(len(sizes)-1))]
}
