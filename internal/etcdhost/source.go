package etcdhost

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// values are what was given, by option, and what is to be said about it.
type values struct {
	given    map[string]string
	warnings []string
}

// get is an option's value: what was given, or its default.
func (v *values) get(name string) string {
	if s, ok := v.given[name]; ok {
		return s
	}
	o, _ := byName(name)
	return o.def
}

func (v *values) has(name string) bool { _, ok := v.given[name]; return ok }

func (v *values) warn(format string, args ...any) {
	v.warnings = append(v.warnings, fmt.Sprintf(format, args...))
}

// textFlag is a flag whose text is looked at later.
type textFlag struct {
	name    string
	boolean bool
	given   map[string]string
}

func (f *textFlag) String() string     { return "" }
func (f *textFlag) IsBoolFlag() bool   { return f.boolean }
func (f *textFlag) Set(s string) error { f.given[f.name] = s; return nil }

// otherPrograms are the further ones that etcd's binary holds.
var otherPrograms = map[string]string{
	"gateway":    "give clients the addresses of all members, or put a TCP proxy before them (as haproxy in mode tcp)",
	"grpc-proxy": "give clients the addresses of all members; Debian's package etcd-server has the proxy, and it works with this store",
}

// errHelp says that the help was asked for.
var errHelp = flag.ErrHelp

// collect gathers what flags, environment and configuration file say. A flag goes before its variable; with a
// configuration file both are ignored, as etcd does.
func collect(args []string, env map[string]string) (*values, error) {
	v := &values{given: map[string]string{}}
	fs := flag.NewFlagSet("etcd", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, o := range options {
		for _, name := range o.names() {
			fs.Var(&textFlag{name: o.name, boolean: o.boolean, given: v.given}, name, "")
		}
	}
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	if why, ok := otherPrograms[fs.Arg(0)]; ok {
		return nil, fmt.Errorf("%q is not here: %s", fs.Arg(0), why)
	}
	if fs.NArg() > 0 {
		return nil, fmt.Errorf("%q is not a valid flag", fs.Arg(0))
	}
	v.fromEnv(env)
	path := v.given["config-file"]
	if path == "" {
		return v, v.check()
	}
	fromFile, err := readFile(path)
	if err != nil {
		return nil, err
	}
	f := &values{given: fromFile}
	if len(v.given) > 1 {
		f.warn("with --config-file all other flags and variables are ignored")
	}
	return f, f.check()
}

func (v *values) fromEnv(env map[string]string) {
	known := map[string]bool{}
	for _, o := range options {
		for _, name := range o.names() {
			known[variable(name)] = true
			s := env[variable(name)]
			if s == "" {
				continue
			}
			if v.has(o.name) {
				if s != v.given[o.name] {
					v.warn("%s is overruled by --%s", variable(name), o.name)
				}
				continue
			}
			v.given[o.name] = s
		}
	}
	var strange []string
	for name := range env {
		if strings.HasPrefix(name, "ETCD_") && !known[name] && name != "ETCD_UNSUPPORTED_ARCH" {
			strange = append(strange, name)
		}
	}
	if slices.Sort(strange); len(strange) > 0 {
		v.warn("unrecognized environment variable: %s", strings.Join(strange, ", "))
	}
}

// check refuses what cannot be done and names, once, all that has no meaning.
func (v *values) check() error {
	var unused []string
	for _, o := range options {
		s, ok := v.given[o.name]
		if !ok || s == o.def || o.note == "" {
			continue
		}
		switch {
		case o.note == noDiscovery && s != "":
			return fmt.Errorf("--%s is not supported: name the members with --initial-cluster", o.name)
		case o.name == "proxy":
			return errors.New("--proxy is not supported: point clients at the members")
		case o.note != noProxy:
			unused = append(unused, "--"+o.name+" ("+o.note+")")
		}
	}
	if len(unused) > 0 {
		v.warn("without meaning here: %s", strings.Join(unused, ", "))
	}
	return nil
}
