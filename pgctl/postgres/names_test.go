package postgres

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestConninfo(t *testing.T) {
	got, err := ParseConninfo(`host = a.b port=5432 password='it''s' x='' y=a\ b`)
	if err == nil {
		t.Errorf("a quoted value goes on behind its quote: %+v", got)
	}
	got, err = ParseConninfo(` host = a.b  port=5432 password='it\'s \\' x='' y=a\ b `)
	want := Conninfo{{"host", "a.b"}, {"port", "5432"}, {"password", `it's \`}, {"x", ""}, {"y", "a b"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if s := want.String(); s != `host=a.b port=5432 password='it\'s \\' x='' y='a b'` {
		t.Error(s)
	}
	if s := want.Redacted(); strings.Contains(s, "it") || want.Get("password") == "***" {
		t.Error(s)
	}
	for _, bad := range []string{"host", "=a", "host='a", "a b=c", "postgresql://h/db"} {
		if got, err := ParseConninfo(bad); !errors.Is(err, ErrBadConninfo) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func FuzzConninfo(f *testing.F) {
	f.Add(`host=a port = 5432 password='it\'s'`)
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseConninfo(s)
		if err != nil {
			return
		}
		if again, err := ParseConninfo(c.String()); err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%q -> %q -> %+v, %v", s, c.String(), again, err)
		}
	})
}

func TestUpstreamConninfo(t *testing.T) {
	u := Upstream{Host: "10.0.0.2", Port: 5432, Name: "pg-node2", User: "replicator", PassFile: "/var/lib/p g", Extra: Conninfo{{"sslmode", "require"}, {"gssencmode", "disable"}}}
	c := u.Conninfo(160014)
	for k, want := range map[string]string{
		"host": "10.0.0.2", "port": "5432", "user": "replicator", "application_name": "pg-node2", "sslmode": "require",
		"gssencmode": "disable", "connect_timeout": "3", "tcp_user_timeout": "5000", "dbname": "", "passfile": "/var/lib/p g",
	} {
		if c.Get(k) != want {
			t.Errorf("%s is %q, want %q", k, c.Get(k), want)
		}
	}
	if u.Conninfo(170000).Get("dbname") == "" {
		t.Error("version 17 synchronises slots over a connection with a database")
	}
	if !u.Equal(u) || u.Equal(Upstream{}) {
		t.Error("Equal")
	}
}

func TestSlotName(t *testing.T) {
	for in, want := range map[string]string{
		"pg-node1.example.com": "pg_node1_example_com", "PG1": "pg1", "a b": "au0032b", "ü": "u0252", "日": "u26085",
		strings.Repeat("x", 70): strings.Repeat("x", 63),
	} {
		if got := SlotName(in); got != want {
			t.Errorf("SlotName(%q) = %q, want %q", in, got, want)
		}
	}
	if got := SlotConflicts([]string{"a-b", "a.b", "c"}); !reflect.DeepEqual(got, map[string][]string{"a_b": {"a-b", "a.b"}}) {
		t.Error(got)
	}
}

func FuzzSlotName(f *testing.F) {
	f.Add("pg-node1")
	f.Fuzz(func(t *testing.T, s string) {
		if got := SlotName(s); s != "" && !ValidSlotName(got) {
			t.Fatalf("%q gives %q, which PostgreSQL refuses", s, got)
		}
	})
}

func TestSyncNames(t *testing.T) {
	for in, want := range map[string]SyncNames{
		"":                      {},
		"a":                     {SyncFirst, 1, []string{"a"}},
		"a, b":                  {SyncFirst, 1, []string{"a", "b"}},
		"2 (a,b)":               {SyncFirst, 2, []string{"a", "b"}},
		"first 2 (a , \"b-c\")": {SyncFirst, 2, []string{"a", "b-c"}},
		"ANY 1 (a,b,c)":         {SyncAny, 1, []string{"a", "b", "c"}},
		"*":                     {SyncFirst, 1, []string{"*"}},
		"any":                   {SyncFirst, 1, []string{"any"}},
		`"any"`:                 {SyncFirst, 1, []string{"any"}},
		`"a""b"`:                {SyncFirst, 1, []string{`a"b`}},
		"ANY 2 (1, 2)":          {SyncAny, 2, []string{"1", "2"}},
	} {
		got, err := ParseSyncNames(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", in, got, err, want)
		}
		if again, err := ParseSyncNames(got.String()); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%q renders as %q: %+v, %v", in, got.String(), again, err)
		}
	}
	for _, bad := range []string{"a b", "a,", ",a", "ANY 0 (a)", "ANY 1 (a", "ANY 1 ()", "some 1 (a)", `"a`, `""`, "a-b", "(a)", "ANY 1 (a))"} {
		if got, err := ParseSyncNames(bad); !errors.Is(err, ErrBadSyncNames) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func TestSyncNamesString(t *testing.T) {
	for want, in := range map[string]SyncNames{
		"":                    {},
		"a":                   {Method: SyncFirst, Num: 1, Names: []string{"a"}},
		`"pg-node1"`:          {Names: []string{"pg-node1"}},
		`ANY 1 (a,"pg-b")`:    {SyncAny, 1, []string{"a", "pg-b"}},
		`FIRST 1 ("first",b)`: {"", 0, []string{"first", "b"}},
		`ANY 1 (a)`:           {SyncAny, 1, []string{"a"}},
	} {
		if got := in.String(); got != want {
			t.Errorf("%+v renders as %q, want %q", in, got, want)
		}
	}
	s := SyncNames{Names: []string{"Node1"}}
	if !s.Has("node1") || s.Has("node2") || !(SyncNames{Names: []string{"*"}}).Has("x") {
		t.Error("Has")
	}
}

func FuzzSyncNames(f *testing.F) {
	f.Add(`ANY 2 (a, "b-c", *)`)
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSyncNames(s)
		if err != nil {
			return
		}
		if again, err := ParseSyncNames(n.String()); err != nil || !reflect.DeepEqual(again, n) {
			t.Fatalf("%q -> %q -> %+v, %v", s, n.String(), again, err)
		}
	})
}
