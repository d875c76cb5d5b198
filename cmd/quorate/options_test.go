package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The options of patronictl, as testdata/patronictl/options.py read them out of it, are all here, by all their names, and take what they take there:
// nothing, a value, or one more each time that they are given. So are the arguments.
func TestPatronictlsOptions(t *testing.T) {
	files, err := filepath.Glob("testdata/patronictl/options-*.txt")
	if err != nil || len(files) < 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		root := newRoot(&app{calledAs: "patronictl"})
		arguments := map[string][]string{}
		for _, line := range optionLines(t, file) {
			name, option, takes := line[0], line[1], line[2]
			c := root
			if name != "-" {
				if c, _, err = root.Find([]string{name}); err != nil || c == root {
					t.Errorf("%s: there is no command %s", file, name)
					continue
				}
			}
			if !strings.HasPrefix(option, "-") {
				arguments[name] = append(arguments[name], takes)
				continue
			}
			for _, word := range strings.Split(option, ",") {
				if why := mismatch(c, word, takes); why != "" {
					t.Errorf("%s: %s %s %s", file, name, word, why)
				}
			}
		}
		for name, takes := range arguments {
			c, _, err := root.Find([]string{name})
			if err != nil {
				continue // said already
			}
			for _, n := range counts(takes) {
				args := slices.Repeat([]string{"x"}, n)
				if name == "flush" && n > 0 {
					args[n-1] = "restart"
				}
				if err := c.ValidateArgs(args); err != nil {
					t.Errorf("%s: %s with %d arguments: %v", file, name, n, err)
				}
			}
		}
	}
}

// counts are numbers of arguments that a command takes.
func counts(takes []string) []int {
	most := len(takes)
	if slices.Contains(takes, "any") {
		most++
	}
	least := 0
	for _, x := range takes {
		if x == "one" {
			least++
		}
	}
	return []int{least, most}
}

// mismatch says how an option differs; "" when it does not.
func mismatch(c *cobra.Command, word, takes string) string {
	var f *pflag.Flag
	if name, long := strings.CutPrefix(word, "--"); long {
		f = c.Flags().Lookup(name)
	} else {
		f = c.Flags().ShorthandLookup(word[1:])
	}
	switch {
	case f == nil:
		return "is missing"
	case (f.NoOptDefVal != "") != (takes == "flag"):
		return "takes something else than " + takes
	case (f.Value.Type() == "stringArray") != (takes == "many"):
		return "may be given again, or not, other than there (" + takes + ")"
	}
	return ""
}

func optionLines(t *testing.T, file string) (out [][]string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if words := strings.Fields(s.Text()); len(words) == 3 {
			out = append(out, words)
		}
	}
	if len(out) < 50 {
		t.Fatalf("%s has only %d options", file, len(out))
	}
	return out
}

// The list of the patronictl that is installed here is what that program says today.
func TestPatronictlsOptionsAreItsOwn(t *testing.T) {
	program, err := exec.LookPath("patronictl")
	if err != nil {
		t.Skip("patronictl is not installed")
	}
	script, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	python := regexp.MustCompile(`^#!(\S+python3)\n`).FindSubmatch(script)
	if python == nil {
		t.Skip("patronictl is no Python script")
	}
	cmd := exec.Command(string(python[1]), "-B", "testdata/patronictl/options.py")
	said, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	version := strings.Trim(strings.Fields(string(said))[2], ":")
	file := "testdata/patronictl/options-" + version + ".txt"
	if kept, err := os.ReadFile(file); os.IsNotExist(err) {
		t.Skipf("patronictl %s is not one of those that are compared", version)
	} else if string(kept) != string(said) {
		t.Errorf("%s is not what options.py writes", file)
	}
}

// Whoever asks for help gets a sentence about each command and each option.
func TestHelpIsComplete(t *testing.T) {
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: what it does: %q", c.CommandPath(), c.Short)
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing", c.CommandPath(), f.Name)
			}
		})
		for _, sub := range c.Commands() {
			if sub.Name() != "completion" && sub.Name() != "help" && !sub.Hidden {
				check(sub)
			}
		}
	}
	check(newRoot(&app{calledAs: "quorate"}))
}
