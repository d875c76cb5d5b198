package node

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	"quorate/internal/config"
	"quorate/internal/gossip"
	"quorate/pgctl/instance"
	"quorate/proxy"
)

// A start that cannot work ends before anything is on disk, with an error that names the place.
func TestRefusedAtStart(t *testing.T) {
	if binDir() == "" {
		t.Skip("PostgreSQL's programs are not installed on this machine")
	}
	for _, c := range []struct {
		name string
		make func(s *site) *config.Config
		want error // nil: any
		says []string
	}{
		{"foreign files", func(s *site) *config.Config {
			s.mkdir("pg")
			s.write("pg/notes.txt", "x")
			return s.config("")
		}, instance.ErrForeign, []string{"c.yml:11", "postgresql.data_dir", "notes.txt"}},
		{"no programs", func(s *site) *config.Config { return s.config("  bin_dir: /nonexistent\n") }, nil, []string{"c.yml:17", "bin_dir", "/nonexistent"}},
		{"another major version", func(s *site) *config.Config {
			s.mkdir("pg")
			s.write("pg/PG_VERSION", "9\n")
			s.own(s.path("pg/PG_VERSION"))
			for _, d := range []string{"pg/global", "pg/base", "pg/pg_wal"} {
				s.mkdir(d)
			}
			s.write("pg/global/pg_control", "x")
			return s.config("  bin_dir: " + binDir() + "\n")
		}, instance.ErrWrongVersion, []string{"postgresql.data_dir", "pg_upgrade"}},
		{"open to others", func(s *site) *config.Config {
			s.mkdir("pg")
			s.write("pg/PG_VERSION", "15\n")
			if err := os.Chmod(s.path("pg"), 0o755); err != nil {
				t.Fatal(err)
			}
			return s.config("")
		}, instance.ErrPermissions, []string{"postgresql.data_dir", "chmod"}},
		{"a port in use", func(s *site) *config.Config {
			l, err := net.Listen("tcp", s.addr(portREST))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return s.config("")
		}, nil, []string{"c.yml:5", "restapi.listen", "free"}},
		{"more sessions than files", func(s *site) *config.Config {
			c := s.config("")
			for i := range c.Proxy.Listeners {
				c.Proxy.Listeners[i].MaxSessions = 1 << 30
			}
			return c
		}, proxy.ErrDescriptors, []string{"LimitNOFILE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			conf := c.make(s)
			before := s.files()
			err := s.try(conf)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("%v, want %v", err, c.want)
			}
			for _, word := range c.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("the error does not say %q: %v", word, err)
				}
			}
			if after := s.files(); after != before {
				t.Errorf("the disk was touched:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// A host that is met under this one's name is another, if it is there.
func TestNamesakeHost(t *testing.T) {
	s := newSite(t)
	other, err := gossip.New(gossip.Options{Name: "n1", Listen: "127.0.0.1:0", Secret: "abc"})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Stop() }()
	c := s.config("")
	c.Gossip.Join = append(c.Gossip.Join, other.Addr())
	before := s.files()
	if err := s.try(c); !errors.Is(err, ErrNameTaken) || !strings.Contains(err.Error(), other.Addr()) || !strings.Contains(err.Error(), "c.yml:2") {
		t.Errorf("%v", err)
	}
	if after := s.files(); after != before {
		t.Errorf("the disk was touched:\n%s", after)
	}
}
