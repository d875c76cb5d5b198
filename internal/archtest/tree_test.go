package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "quorate"

// source is one Go file of the product; test files are not looked at, they may do what they like.
type source struct {
	path  string // from the root of the tree, with slashes
	pkg   string // folder of path
	fset  *token.FileSet
	file  *ast.File
	lines int
}

func parse(name string, text []byte) (source, error) {
	s := source{path: name, pkg: path.Dir(name), fset: token.NewFileSet(), lines: strings.Count(string(text), "\n")}
	file, err := parser.ParseFile(s.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	s.file = file
	return s, err
}

// at names a place as an editor understands it.
func (s source) at(pos token.Pos) string {
	return fmt.Sprintf("%s:%d", s.path, s.fset.Position(pos).Line)
}

// imports maps the name that the file uses to the path that it imports.
func (s source) imports() map[string]string {
	named := map[string]string{}
	for _, spec := range s.file.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(p)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "_" {
			name = "_" + p // blank imports must not hide one another
		}
		named[name] = p
	}
	return named
}

// eachUse calls fn for every selector on an imported package, such as time.Now.
func (s source) eachUse(fn func(pkg, name string, pos token.Pos)) {
	named := s.imports()
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := sel.X.(*ast.Ident); ok && named[id.Name] != "" {
				fn(named[id.Name], sel.Sel.Name, sel.Pos())
			}
		}
		return true
	})
}

// tree reads all files of the product, from the folder that holds go.mod.
func tree(t *testing.T) []source {
	t.Helper()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			t.Fatal("no go.mod above this folder")
		}
		root = filepath.Dir(root)
	}
	var all []source
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		s, err := parse(name, text)
		all = append(all, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 20 {
		t.Fatalf("only %d files found: the rules would hold for nothing", len(all))
	}
	return all
}
