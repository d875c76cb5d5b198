package config

import (
	"path/filepath"

	"quorate/internal/config/dynamic"
)

// patroniRaft understands Patroni's section raft: its hosts become ours to join, its password the gossip's secret, its folder the
// place of the store. The ports are not taken over, because a Patroni that still runs on another host would answer there in another
// protocol. What stands in store and gossip wins.
func (p *parser) patroniRaft(top *section) {
	s := top.sub("raft")
	if s.tree == nil {
		return
	}
	p.warn(s.tree.at, "raft", "Patroni's store is not continued: its hosts and password found Quorate's own store, which begins empty; write the sections store and gossip instead")
	r := raftSection{s: s, top: top}
	self, partners := r.host("self_addr"), r.partners()
	if self != "" {
		r.give(self, "store", "listen")
		r.give(self, "gossip", "listen")
	}
	join := partners
	if self != "" {
		join = append([]string{self}, partners...)
	}
	if len(join) > 0 {
		r.give(texts(join), "gossip", "join")
		r.give(int64(len(partners)+1), "store", "expect")
	}
	if secret := s.text("password"); secret != "" {
		r.give(secret, "gossip", "secret")
	}
	if dir := s.text("data_dir"); dir != "" {
		r.give(filepath.Join(dir, "quorate"), "store", "data_dir")
	}
	s.known = append(s.known, "bind_addr", "min_timeout", "max_timeout", "connection_timeout", "append_entries_period",
		"connection_retry_time", "leader_fallback_timeout")
	s.unknown()
}

type raftSection struct{ s, top *section }

// give writes one of our settings unless it is there.
func (r raftSection) give(value any, section, key string) {
	if r.top.tree.get(section).get(key) != nil {
		return
	}
	t := &tree{at: r.s.tree.at, scalar: value}
	if list, ok := value.([]any); ok {
		t = &tree{at: r.s.tree.at, kind: isList}
		for _, v := range list {
			t.items = append(t.items, &tree{at: r.s.tree.at, scalar: v})
		}
	}
	r.top.tree.put([]string{section, key}, t)
}

// host is the host of an address setting; "" when it is missing, wrong or a wildcard.
func (r raftSection) host(key string) string {
	host, _, ok := splitHostPort(r.s.text(key), 0)
	if r.s.has(key) && !ok {
		r.s.bad(key, hostPortWanted)
	}
	if !ok || isWildcard(host) {
		return ""
	}
	return host
}

func (r raftSection) partners() []string {
	var out []string
	for _, a := range r.s.list("partner_addrs") {
		host, _, ok := splitHostPort(a, 0)
		if !ok || isWildcard(host) {
			r.s.wrong(r.s.place("partner_addrs"), "raft.partner_addrs", dynamic.Quote(a), hostPortWanted)
			continue
		}
		out = append(out, host)
	}
	return out
}

func texts(words []string) []any {
	out := make([]any, len(words))
	for i, w := range words {
		out[i] = w
	}
	return out
}
