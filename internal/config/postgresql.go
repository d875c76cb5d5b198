package config

import (
	"path/filepath"
	"strings"

	"quorate/internal/config/dynamic"
)

// postgresql reads what only a member's own file says. The rest of the section is checked here and used by [Config.Effective].
func (p *parser) postgresql(s *section) {
	pg := &p.c.PostgreSQL
	p.pgListen(s)
	pg.ConnectAddress = p.connectAddress(s, pg.Listen[0], pg.Port)
	if host, port, ok := s.hostPort("proxy_address", postgresPort); ok {
		pg.ProxyAddress = joinHostPort(host, port)
	}
	pg.DataDir = p.folder(s, "data_dir")
	if pg.DataDir == "" && !s.has("data_dir") {
		s.missing("data_dir", "the folder of the database, for example /var/lib/postgresql/15/main")
	}
	if pg.ConfigDir = p.folder(s, "config_dir"); pg.ConfigDir == "" {
		pg.ConfigDir = pg.DataDir
	}
	pg.PgPass = s.text("pgpass")
	auth := s.sub("authentication")
	pg.Superuser = credentials(auth.sub("superuser"), "postgres")
	pg.Replication = credentials(auth.sub("replication"), "replicator")
	pg.Rewind = credentials(auth.sub("rewind"), "")
	auth.unknown()
	p.shared(s)
}

// folder reads a path; a relative one begins where the process was started, as Patroni's do.
func (p *parser) folder(s *section, key string) string {
	dir := s.text(key)
	if dir == "" {
		return ""
	}
	if !filepath.IsAbs(dir) && p.in.Host.WorkDir == "" {
		s.bad(key, "a path that begins with /")
		return ""
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(p.in.Host.WorkDir, dir)
	}
	return filepath.Clean(dir)
}

// pgListen reads listen: hosts with commas between, and one port behind the last.
func (p *parser) pgListen(s *section) {
	pg := &p.c.PostgreSQL
	pg.Listen, pg.Port = []string{wildcard}, postgresPort
	if isLoopback(p.c.Address) {
		pg.Listen = []string{p.c.Address}
	}
	text := s.text("listen")
	if text == "" {
		return
	}
	hosts := strings.Split(text, ",")
	last, port, ok := splitHostPort(hosts[len(hosts)-1], postgresPort)
	hosts[len(hosts)-1] = last
	for i, h := range hosts {
		h = strings.Trim(strings.TrimSpace(h), "[]")
		ok = ok && validHost(h)
		hosts[i] = h
	}
	if !ok {
		s.bad("listen", "host:port, for example '*:5432', or hosts with commas between and a port at the end")
		return
	}
	pg.Listen, pg.Port = hosts, port
	if len(hosts) == 1 { // Of several, PostgreSQL wants one that works: others may be addresses that move between hosts.
		p.mine(s, "listen", hosts[0])
	}
}

func credentials(s *section, username string) Credentials {
	c := Credentials{
		Username:       s.textOr("username", username),
		Password:       s.secret("password"),
		SSLMode:        s.text("sslmode"),
		SSLKey:         s.text("sslkey"),
		SSLCert:        s.text("sslcert"),
		SSLPassword:    s.text("sslpassword"),
		SSLRootCert:    s.text("sslrootcert"),
		SSLCRL:         s.text("sslcrl"),
		SSLCRLDir:      s.text("sslcrldir"),
		SSLNegotiation: s.text("sslnegotiation"),
		GSSEncMode:     s.text("gssencmode"),
		ChannelBinding: s.text("channel_binding"),
	}
	for _, word := range []struct{ key, value, allowed string }{
		{"sslmode", c.SSLMode, "disable, allow, prefer, require, verify-ca, verify-full"},
		{"sslnegotiation", c.SSLNegotiation, "postgres, direct"},
		{"gssencmode", c.GSSEncMode, "disable, prefer, require"},
		{"channel_binding", c.ChannelBinding, "disable, prefer, require"},
	} {
		if word.value != "" && !strings.Contains(", "+word.allowed+",", ", "+word.value+",") {
			s.bad(word.key, "one of "+word.allowed)
		}
	}
	s.unknown()
	return c
}

// shared checks the part of the section that may stand in the shared configuration too.
func (p *parser) shared(s *section) {
	merged, misplaced := dynamic.Merge(nil, s.tree.plainMap())
	_, corrections := dynamic.Parse(merged, p.c.Profile())
	p.corrections(s.tree, "postgresql", "", append(misplaced, corrections...))
}

// corrections reports what the package dynamic could not use: a value that cannot be understood is an error here, where a person
// can mend it before anything runs. cut is what the settings' names begin with beneath t.
func (p *parser) corrections(t *tree, cut, prefix string, list []dynamic.Correction) {
	for _, c := range list {
		at := t.find(strings.TrimPrefix(strings.TrimPrefix(c.Setting, cut), "."))
		switch c.Kind {
		case dynamic.Wrong:
			p.wrong(at, prefix+c.Setting, c.Found, strings.TrimPrefix(c.Reason, "expected "))
		case dynamic.Adjusted, dynamic.Misplaced, dynamic.Unknown:
			text := c.String()
			p.warn(at, prefix+c.Setting, "%s", strings.TrimPrefix(text, c.Setting+": "))
		}
	}
}
