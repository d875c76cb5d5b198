package config_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
)

// base is the smallest configuration of a host that holds everything.
const base = "scope: demo\npostgresql: {data_dir: /data}\n"

// testHost is 10.0.0.1 in a network 10.0.0.0/24, and knows itself by the name pg1.
func testHost() config.Host {
	return config.Host{
		Name:      "pg1",
		Addresses: []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")},
		Home:      "/root",
		WorkDir:   "/srv",
		SourceTo: func(host string) netip.Addr {
			a, err := netip.ParseAddr(host)
			switch {
			case err != nil:
				return netip.Addr{}
			case a.IsLoopback():
				return a
			}
			return netip.MustParseAddr("10.0.0.1")
		},
		Lookup: func(name string) []netip.Addr {
			return map[string][]netip.Addr{
				"pg1": {netip.MustParseAddr("10.0.0.1")}, "pg2": {netip.MustParseAddr("10.0.0.2")},
			}[name]
		},
	}
}

// TestScripts runs testdata. The input is YAML; "== name" begins another text, "== env" the environment (NAME=value lines).
//
//	parse [base] [roles=a,b] [patroni] [uid=N] [all]
//
// parses it (after the smallest configuration, if base is given) and prints what differs from the smallest configuration (all:
// everything), then the warnings, or the errors.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			in := inputOf(t, d)
			c, warnings, err := config.Parse(in)
			var out strings.Builder
			if err != nil {
				var all *config.Error
				if !errors.As(err, &all) || c != nil {
					t.Errorf("%s: Parse gave %v and an error of type %T", d.Pos, c, err)
				}
				fmt.Fprintf(&out, "error:\n%s\n", err)
			} else {
				show(t, &out, in, c, d.HasArg("all"))
			}
			for _, w := range warnings {
				mark := "!"
				if w.Note {
					mark = "-"
				}
				fmt.Fprintln(&out, mark, w)
			}
			return out.String()
		})
	})
}

func inputOf(t *testing.T, d *datadriven.TestData) config.Input {
	in := config.Input{Host: testHost(), CalledAsPatroni: d.HasArg("patroni")}
	for _, arg := range d.CmdArgs {
		switch arg.Key {
		case "roles":
			in.RolesFlag = arg.Vals
		case "uid":
			d.ScanArgs(t, "uid", &in.Host.UID)
			in.Host.Home = "/home/me"
		case "base":
			in.Texts = append(in.Texts, config.Text{Source: "base.yml", Content: []byte(base)})
		}
	}
	source := "a.yml"
	for i, part := range strings.Split("\n"+d.Input, "\n== ") {
		body := part
		if i > 0 {
			source, body, _ = strings.Cut(part, "\n")
		}
		body = strings.TrimPrefix(body, "\n")
		if source == "env" {
			in.Env = config.Environ(strings.Split(strings.TrimSpace(body), "\n"))
			continue
		}
		in.Texts = append(in.Texts, config.Text{Source: source, Content: []byte(body)})
	}
	return in
}

func show(t *testing.T, out *strings.Builder, in config.Input, c *config.Config, all bool) {
	smallest, _, err := config.Parse(config.Input{
		Texts: []config.Text{{Source: "base.yml", Content: []byte(base)}}, Host: in.Host,
	})
	was := map[string]string{}
	if err != nil {
		t.Fatal(err)
	}
	if !all {
		flatten(t, was, "", asMap(t, smallest))
	}
	is := map[string]string{}
	flatten(t, is, "", asMap(t, c))
	keys := []string{}
	for k, v := range is {
		gone := v == "" && c.Roles != smallest.Roles // with its role
		if !gone && was[k] != v {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(out, "%s = %s\n", k, is[k])
	}
}

func flatten(t *testing.T, out map[string]string, path string, m map[string]any) {
	for k, v := range m {
		if sub, ok := v.(map[string]any); ok && len(sub) > 0 {
			flatten(t, out, path+k+".", sub)
			continue
		}
		b, err := json.Marshal(compact(v))
		if err != nil {
			t.Fatal(err)
		}
		if s := string(b); s != `""` && s != "0" && s != "false" && s != "null" && s != "{}" {
			out[path+k] = s
		} else {
			out[path+k] = ""
		}
	}
}

// compact leaves zero values out of the mappings in a list.
func compact(v any) any {
	items, ok := v.([]any)
	if !ok {
		return v
	}
	for _, item := range items {
		if m, ok := item.(map[string]any); ok {
			for k, v := range m {
				if v == "" || v == 0.0 || v == false || v == nil {
					delete(m, k)
				}
			}
		}
	}
	return items
}

func asMap(t *testing.T, v any) map[string]any {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// What a member writes itself wins over what the cluster shares, key by key.
func TestEffective(t *testing.T) {
	text := base + `
restapi: {listen: '127.0.0.1:8008'}
`
	text = strings.Replace(text, "{data_dir: /data}", "{data_dir: /data, bin_dir: /bin, parameters: {work_mem: 8MB}}", 1)
	c, _, err := config.Parse(config.Input{Texts: []config.Text{{Source: "a.yml", Content: []byte(text)}}, Host: testHost()})
	if err != nil {
		t.Fatal(err)
	}
	shared, err := dynamic.Decode([]byte(`{"ttl":5,"postgresql":{"bin_dir":"/shared","parameters":{"work_mem":"4MB","max_connections":50}}}`))
	if err != nil {
		t.Fatal(err)
	}
	d, corrections := c.Effective(shared, c.Profile())
	if len(corrections) > 0 {
		t.Error(corrections)
	}
	pg := d.PostgreSQL
	if d.TTL.Seconds() != 5 || pg.BinDir != "/bin" || pg.Parameters["work_mem"] != "8MB" || pg.Parameters["max_connections"] != "50" {
		t.Errorf("%+v", d)
	}
	if at := c.At("postgresql.parameters.work_mem").String(); at != "a.yml:2" {
		t.Errorf("work_mem stands at %s", at)
	}
	if !c.Has("restapi", "listen") || c.Has("restapi", "connect_address") {
		t.Error("Has confuses what was written with what was derived")
	}
}

// FuzzParse holds that no text brings the parser down, and that a result is complete.
func FuzzParse(f *testing.F) {
	f.Add([]byte(base), "a")
	f.Add([]byte("a: &x [*x]"), "[")
	f.Add([]byte("a: &x {b: 1}\nc: {<<: *x, d: 2}"), "{a: b")
	f.Add([]byte("raft: {self_addr: '1.2.3.4:5', partner_addrs: [a:1]}"), "a,b")
	f.Add([]byte("etcd: {url: 'http://u:p@h', hosts: 'a,b:1'}\ntags: {nofailover: 1}"), "{}")
	f.Add([]byte("bootstrap: {dcs: {ttl: x}, initdb: [a, {b: c}]}"), "5")
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		host := testHost()
		host.Lookup = nil
		c, _, err := config.Parse(config.Input{
			Texts: []config.Text{{Source: "base.yml", Content: []byte(base)}, {Source: "a.yml", Content: text}},
			Env:   map[string]string{"PATRONI_LOG_FORMAT": value, "QUORATE_GOSSIP_JOIN": value, "PATRONI_LOG_LOGGERS": value},
			Host:  host,
		})
		if (c == nil) != (err != nil) {
			t.Fatalf("a configuration and an error, or neither: %v", err)
		}
		if c == nil {
			return
		}
		if c.Name == "" || c.Scope == "" || c.Roles == (config.Roles{}) || c.Address == "" || c.REST.Listen == "" {
			t.Fatalf("incomplete: %+v", c)
		}
		c.Effective(map[string]any{}, c.Profile())
	})
}

// TestTagsShown: the boolean tags that say no are not shown, as Patroni's are not, except beside the priority of the same matter.
func TestTagsShown(t *testing.T) {
	for text, want := range map[string]string{
		"{nofailover: false, clonefrom: no, noloadbalance: off, nosync: 0, nostream: false, new_tag: new_value}": `{"new_tag":"new_value"}`,
		"{nofailover: false, failover_priority: 2, nosync: false}":                                               `{"failover_priority":2,"nofailover":false}`,
		"{nofailover: true, failover_priority: '1'}":                                                             `{"failover_priority":"1","nofailover":true}`,
		"{nosync: false, sync_priority: 3, clonefrom: on, mine: false}":                                          `{"clonefrom":true,"mine":false,"nosync":false,"sync_priority":3}`,
	} {
		c, _, err := config.Parse(config.Input{Texts: []config.Text{{Source: "q.yml", Content: []byte(base + "tags: " + text + "\n")}}, Host: testHost()})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := json.Marshal(c.Tags.All); string(got) != want {
			t.Errorf("tags: %s: shown as %s, want %s", text, got, want)
		}
	}
}

// A file of a folder that is no YAML is what is wrong, and not what seems to be missing without it.
func TestOneUnreadableFile(t *testing.T) {
	_, _, err := config.Parse(config.Input{
		Texts: []config.Text{{Source: "10-a.yml", Content: []byte("scope: demo\nname: n1\n")}, {Source: "20-b.yml", Content: []byte("postgresql: [\n")}},
		Env:   map[string]string{"PATRONI_POSTGRESQL_PROXY_ADDRESS": "127.0.0.1:5000"},
	})
	var wrong *config.Error
	if !errors.As(err, &wrong) || len(wrong.Problems) != 1 || wrong.Problems[0].Place.Source != "20-b.yml" {
		t.Errorf("%v", err)
	}
}
