package postgres

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// The package promises to be a function of its arguments.
func TestImportsNothingThatActs(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	banned := map[string]bool{"net": true, "os": true, "os/exec": true, "log/slog": true, "syscall": true, "math/rand": true, "math/rand/v2": true}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range f.Imports {
			if p, _ := strconv.Unquote(imp.Path.Value); banned[p] || strings.Contains(p, ".") {
				t.Errorf("%s imports %s", name, p)
			}
		}
	}
}
