package config

// Text is one YAML text and where it came from.
type Text struct {
	Source  string // the file's path, or the variable's name
	Content []byte
}

// Input is all that a configuration depends on.
type Input struct {
	Texts     []Text            // merged in this order
	Env       map[string]string // PATRONI_ and QUORATE_ variables are laid over the texts
	RolesFlag []string          // from the command line; nil: not given
	// CalledAsPatroni makes postgres the only role when none is named.
	CalledAsPatroni bool
	EtcdFirst       bool // an etcd section counts although there is a section store
	Host            Host
}

// parser reads one Input into one Config.
type parser struct {
	findings
	in Input
	c  *Config

	unreadable bool // a text is no YAML
}

// Parse reads and checks a configuration. The Config is nil exactly if there is an error, which then is an *[Error].
func Parse(in Input) (*Config, []Warning, error) {
	p := &parser{in: in, c: &Config{}}
	top := p.top()
	if err := p.err(); p.unreadable { // what else seems to be missing may stand there
		return nil, p.warnings, err
	}
	p.refuse(top)
	p.patroniRaft(top)
	c := p.c
	c.tree = top.tree
	c.Roles = p.roles(top)
	c.Name = p.memberName(top)
	c.Scope = p.scope(top)
	c.Namespace = namespace(top)
	p.ownAddress(top)
	p.etcd(top)
	p.gossip(top)
	p.storeOrOthers(top)
	p.ifHeld(top, "proxy", c.Roles.Proxy, p.proxy)
	p.rest(top.sub("restapi"))
	p.ctl(top.sub("ctl"))
	p.log(top)
	p.ifHeld(top, "watchdog", c.Roles.Postgres, p.watchdog)
	p.ifHeld(top, "tags", c.Roles.Postgres, p.tags)
	p.ifHeld(top, "postgresql", c.Roles.Postgres, p.postgresql)
	p.ifHeld(top, "bootstrap", c.Roles.Postgres, p.bootstrap)
	p.unused(top)
	p.collisions()
	top.unknown()
	p.sort(in.Texts)
	if err := p.err(); err != nil {
		return nil, p.warnings, err
	}
	return c, p.warnings, nil
}

// top is the whole tree: the texts merged, with the environment over them.
func (p *parser) top() *section {
	t := newMap(Place{})
	for i, text := range p.in.Texts {
		parsed := p.parseYAML(text.Source, text.Content)
		if i == 0 {
			t = parsed
			continue
		}
		t.merge(parsed)
	}
	p.unreadable = p.err() != nil
	p.environment(t, p.in.Env)
	s := p.section("", t, t.at)
	s.at.Line = 0 // The whole file is where a setting is missing.
	return s
}

// ifHeld reads a section that belongs to a role. Without the role it is left alone, so that one file can serve all hosts.
func (p *parser) ifHeld(top *section, key string, held bool, read func(*section)) {
	if held {
		read(top.sub(key))
		return
	}
	if t := top.raw(key); t != nil {
		p.note(t.at, key, "ignored: this host has the roles %s", p.c.Roles)
	}
}

func (p *parser) memberName(top *section) string {
	name := top.textOr("name", p.in.Host.Name)
	switch {
	case name == "":
		top.missing("name", "a name for this member")
	case !validName(name):
		top.wrong(top.place("name"), "name", quoteText(name), "letters, digits and - . _ : the name is part of keys and host names")
	}
	return name
}

// scope is needed by every role but the store, which may serve many clusters.
func (p *parser) scope(top *section) string {
	scope := top.text("scope")
	switch {
	case scope == "" && (p.c.Roles.Postgres || p.c.Roles.Proxy):
		top.missing("scope", "the cluster's name, the same on all its hosts")
	case scope != "" && !validName(scope):
		top.bad("scope", "letters, digits and - . _ : the name is part of keys")
	}
	return scope
}

// validName says whether a name can be part of a key and of a conninfo string.
func validName(name string) bool {
	for _, c := range name {
		if c <= ' ' || c == '/' || c == '\\' || c == '\'' || c == '"' || c == 0x7f {
			return false
		}
	}
	return name != "" && name != "." && name != ".." && len(name) <= 255
}

func namespace(top *section) string {
	ns := top.textOr("namespace", "/service")
	for len(ns) > 0 && ns[len(ns)-1] == '/' {
		ns = ns[:len(ns)-1]
	}
	for len(ns) > 0 && ns[0] == '/' {
		ns = ns[1:]
	}
	return "/" + ns
}

// unused takes note of Patroni's settings that are understood and have nothing to set here: there are no threads to count.
func (p *parser) unused(top *section) {
	top.known = append(top.known, "thread_pool_size", "thread_stack_size")
	for _, key := range []string{"ttl", "loop_wait", "retry_timeout", "maximum_lag_on_failover", "synchronous_mode"} {
		if t := top.raw(key); t != nil {
			p.warn(t.at, key, "ignored: it is the cluster's, not a member's; write it under bootstrap.dcs before the cluster is founded, later use edit-config")
		}
	}
}
