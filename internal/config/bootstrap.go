package config

import (
	"slices"

	"quorate/internal/config/dynamic"
)

// bootstrap reads how a cluster is founded.
func (p *parser) bootstrap(s *section) {
	b := &p.c.Bootstrap
	b.Written = s.tree != nil
	b.Method = s.textOr("method", "initdb")
	b.InitDB = p.initdb(s)
	b.PgHBA = s.lines("pg_hba")
	b.PostInit = s.text("post_init")
	if cmd := s.text("post_bootstrap"); cmd != "" {
		b.PostInit = cmd
	}
	p.bootstrapDCS(s)
	if b.Method != "initdb" {
		p.method(s, b)
	}
	if t := s.raw("users"); t != nil {
		p.warn(t.at, "bootstrap.users", "ignored, as by Patroni since 4.0: create the roles in post_bootstrap")
	}
	s.unknown()
}

// bootstrapDCS checks the first shared configuration; what has to be corrected in it would be corrected on every member for ever.
func (p *parser) bootstrapDCS(s *section) {
	dcs := s.sub("dcs")
	p.c.Bootstrap.DCS = map[string]any{}
	if dcs.tree == nil {
		return
	}
	p.c.Bootstrap.DCS = dcs.tree.plainMap()
	merged, misplaced := dynamic.Merge(p.c.Bootstrap.DCS, nil)
	d, corrections := dynamic.Parse(merged, p.c.Profile())
	p.corrections(dcs.tree, "", "bootstrap.dcs.", append(misplaced, corrections...))
	for _, advice := range d.Advice(p.c.Etcd == nil) {
		p.warn(dcs.at, "bootstrap.dcs", "%s (before the cluster is founded: here)", advice)
	}
}

// method reads a command that founds the cluster in place of initdb.
func (p *parser) method(s *section, b *Bootstrap) {
	m := s.sub(b.Method)
	b.Command = m.text("command")
	b.KeepExistingRecoveryConf = m.bool("keep_existing_recovery_conf", false)
	b.NoParams = m.bool("no_params", false)
	b.RecoveryConf = m.dict("recovery_conf")
	if b.Command == "" {
		s.wrong(s.place("method"), "bootstrap."+b.Method+".command", "nothing", "the command that founds the cluster, as method is "+b.Method)
		return
	}
	for _, f := range m.tree.fields {
		if !slices.Contains(m.known, f.name) {
			b.MethodOptions = append(b.MethodOptions, dynamic.Option{Name: f.name, Value: m.text(f.name)})
		}
	}
}

// initdbOwn are the options of initdb that the agent sets itself.
var initdbOwn = []string{"pgdata", "nosync", "pwfile", "sync-only", "version"}

// initdb reads additional options of initdb: names, or mappings of one name to its value.
func (p *parser) initdb(s *section) []dynamic.Option {
	t := s.raw("initdb")
	var out []dynamic.Option
	add := func(at Place, name, value string) {
		if slices.Contains(initdbOwn, name) {
			p.warn(at, "bootstrap.initdb", "option %s is ignored: it is chosen by the agent", name)
			return
		}
		out = append(out, dynamic.Option{Name: name, Value: value})
	}
	for _, item := range optionItems(t) {
		switch {
		case item.kind == isScalar && item.scalar != nil:
			add(item.at, dynamic.Text(item.scalar), "")
		case item.kind == isMap:
			for _, f := range item.fields {
				add(f.value.at, f.name, dynamic.Text(f.value.plain()))
			}
		default:
			p.wrong(item.at, "bootstrap.initdb", quote(item), "a list of options: names, or 'name: value'")
		}
	}
	return out
}

// optionItems are the items of a list; anything else counts as one item.
func optionItems(t *tree) []*tree {
	switch {
	case t == nil:
		return nil
	case t.kind == isList:
		return t.items
	}
	return []*tree{t}
}
