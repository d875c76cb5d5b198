package config

import "strings"

// rest reads the HTTP API, which every role serves.
func (p *parser) rest(s *section) {
	r := &p.c.REST
	host, port, written := s.hostPort("listen", restPort)
	switch {
	case written:
		p.mine(s, "listen", host)
	case isLoopback(p.c.Address):
		host = p.c.Address
	default:
		host = wildcard
	}
	r.Listen = joinHostPort(host, port)
	r.ConnectAddress = p.connectAddress(s, host, port)
	r.Authentication = authentication(s)
	r.TLS = readTLS(s)
	r.Ciphers = s.text("ciphers")
	r.Allowlist = s.list("allowlist")
	r.AllowlistIncludeMembers = s.bool("allowlist_include_members", false)
	r.HTTPExtraHeaders = s.dict("http_extra_headers")
	r.HTTPSExtraHeaders = s.dict("https_extra_headers")
	r.ServerTokens = s.oneOf("server_tokens", "original", "productonly", "minimal")
	// Patroni's server takes them for its threads and its queue; ours needs no such bound.
	s.known = append(s.known, "request_queue_size", "thread_pool_size")
	s.unknown()
}

// connectAddress reads how others reach a port of this host. What is not written follows from the port and this host's address.
func (p *parser) connectAddress(s *section, listen string, port int) string {
	host, connectPort, written := s.hostPort("connect_address", port)
	switch {
	case written && isWildcard(host):
		s.bad("connect_address", "the address that others use; leave it out and it is derived")
	case written:
		return joinHostPort(host, connectPort)
	case !isWildcard(listen) && (isLoopback(p.c.Address) || !isLoopback(listen)):
		return joinHostPort(listen, port)
	}
	return joinHostPort(p.c.Address, port)
}

// authentication reads the section of that name, or the older form auth: 'username:password'.
func authentication(s *section) BasicAuth {
	a := basicAuth(s.sub("authentication"))
	old := s.text("auth")
	if old == "" || a != (BasicAuth{}) {
		return a
	}
	username, password, ok := strings.Cut(old, ":")
	if !ok || username == "" || password == "" {
		s.wrong(s.place("auth"), s.name("auth"), "text of another form", "username:password")
	}
	return BasicAuth{Username: username, Password: password}
}

func basicAuth(s *section) BasicAuth {
	a := BasicAuth{Username: s.text("username"), Password: s.secret("password")}
	if s.tree != nil && (a.Username == "") != (a.Password == "") {
		key := "username"
		if a.Password == "" {
			key = "password"
		}
		s.missing(key, "both a username and a password")
	}
	s.unknown()
	return a
}

// ctl reads how this program calls the API of others.
func (p *parser) ctl(s *section) {
	p.c.CTL = CTL{
		Authentication:  authentication(s),
		Insecure:        s.bool("insecure", false),
		CACert:          s.text("cacert"),
		CertFile:        s.text("certfile"),
		KeyFile:         s.text("keyfile"),
		KeyFilePassword: s.text("keyfile_password"),
	}
	if p.c.CTL.KeyFile != "" && p.c.CTL.CertFile == "" {
		s.missing("certfile", "the certificate that belongs to keyfile")
	}
	s.unknown()
}
