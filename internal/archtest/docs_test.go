package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	testNamed   = regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w*`)
	testDefined = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z]\w*)\(`)
)

// TestDocsNameTestsThatExist reads the rows that say what is compatible, and the invariants: a test that was renamed or dropped proves nothing any more.
func TestDocsNameTestsThatExist(t *testing.T) {
	root := "../.."
	have, err := definedTests(root)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatalf("docs: %d pages, %v", len(pages), err)
	}
	named := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		bad, n := unknownTests(string(text), have)
		for _, b := range bad {
			t.Errorf("docs/%s:%s", filepath.Base(page), b)
		}
		named += n
	}
	if named < 100 {
		t.Errorf("the pages name %d tests: they are not read as they are written", named)
	}
}

// unknownTests names the tests in a page's text that are not among those there are. Sections about the tests of another project name that one's.
func unknownTests(page string, have []string) (bad []string, named int) {
	foreign := false
	for i, line := range strings.Split(page, "\n") {
		if strings.HasPrefix(line, "#") {
			foreign = strings.Contains(line, "own end-to-end tests")
		}
		if foreign {
			continue
		}
		for _, name := range testNamed.FindAllString(line, -1) {
			named++
			if _, ok := slices.BinarySearch(have, name); !ok {
				bad = append(bad, fmt.Sprintf("%d: no test is called %s", i+1, name))
			}
		}
	}
	return bad, named
}

// definedTests are the names of all test functions below root, sorted.
func definedTests(root string) ([]string, error) {
	var names []string
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(p, "_test.go") {
			return err
		}
		text, err := os.ReadFile(p)
		for _, m := range testDefined.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
		return err
	})
	slices.Sort(names)
	return names, err
}

func TestUnknownTestsAreFound(t *testing.T) {
	page := "| a | TestThere, api/rest TestGone |\n## The program's own end-to-end tests\nTestTheirs\n## Ours\nFuzzGone\n"
	bad, named := unknownTests(page, []string{"TestThere"})
	want := []string{"1: no test is called TestGone", "5: no test is called FuzzGone"}
	if !slices.Equal(bad, want) || named != 3 {
		t.Errorf("%q of %d, want %q of 3", bad, named, want)
	}
}
