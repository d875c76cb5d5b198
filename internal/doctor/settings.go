package doctor

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

var settingRules = []Rule{
	{"configuration", "the shared configuration is taken as it is written", hasConfig, checkWrong},
	{"contradictions", "settings do not work against each other", hasServers, checkContradictions},
	{"standby-limits", "a standby can replay what its primary writes", hasServers, checkStandbyLimits},
	{"advice", "times and switches are wise", hasConfig, checkAdvice},
}

func hasConfig(f *Facts) bool { return f.Cluster.Config != nil }

func checkWrong(f *Facts) (out []Finding) {
	for _, w := range f.Cluster.Wrong {
		out = append(out, warning("shared configuration", w, "quorate edit-config"))
	}
	return out
}

func checkAdvice(f *Facts) (out []Finding) {
	for _, a := range f.Cluster.Advice {
		out = append(out, note("shared configuration", a, ""))
	}
	return out
}

// contradiction is a pair of settings that do not fit, or a value that keeps the cluster from working.
type contradiction struct {
	found func(s map[string]string, f *Facts, m Member) bool
	level Level
	text  string
	fix   string
}

var contradictions = []contradiction{
	{func(s map[string]string, _ *Facts, _ Member) bool { return s["wal_level"] == "minimal" }, Danger,
		"wal_level is minimal: no standby can follow", "postgresql.parameters.wal_level=replica"},
	{func(s map[string]string, _ *Facts, _ Member) bool { return s["hot_standby"] == "off" }, Warning,
		"hot_standby is off: standbys take no connections, and their state can hardly be seen", "postgresql.parameters.hot_standby=on"},
	{func(s map[string]string, f *Facts, _ Member) bool {
		return usesSlots(f) && s["max_slot_wal_keep_size"] == "-1"
	}, Warning, "slots are used and max_slot_wal_keep_size is -1: a standby that stays away fills the primary's disk", "postgresql.parameters.max_slot_wal_keep_size=10GB"},
	{func(s map[string]string, f *Facts, _ Member) bool {
		keep, limit := number(s["wal_keep_size"]), number(s["max_slot_wal_keep_size"])
		return limit >= 0 && keep > limit && s["max_slot_wal_keep_size"] != ""
	}, Note, "wal_keep_size is larger than max_slot_wal_keep_size: the smaller bound has no effect", "postgresql.parameters.wal_keep_size=128MB"},
	{func(s map[string]string, f *Facts, _ Member) bool {
		return f.Cluster.Config != nil && !usesSlots(f) && s["wal_keep_size"] == "0"
	}, Warning, "neither slots nor wal_keep_size hold WAL for standbys: a short absence needs a new copy", "postgresql.use_slots=true"},
	{func(s map[string]string, _ *Facts, _ Member) bool {
		return s["wal_receiver_timeout"] == "0" || s["wal_sender_timeout"] == "0"
	}, Warning, "wal_receiver_timeout or wal_sender_timeout is 0: a dead connection is never noticed", "postgresql.parameters.wal_receiver_timeout=5s"},
	{func(s map[string]string, f *Facts, m Member) bool {
		slots, senders := number(s["max_replication_slots"]), number(s["max_wal_senders"])
		need := int64(len(f.Cluster.Members))
		return s["max_replication_slots"] != "" && (slots < need || senders < need)
	}, Warning, "max_wal_senders or max_replication_slots is smaller than the cluster: not every member can follow", "postgresql.parameters.max_wal_senders=10"},
	{func(s map[string]string, f *Facts, _ Member) bool {
		return s["archive_mode"] == "on" && s["archive_command"] == "" && s["archive_library"] == ""
	}, Warning, "archive_mode is on without an archive_command: WAL piles up for ever", "postgresql.parameters.archive_command=..."},
}

func usesSlots(f *Facts) bool {
	return f.Cluster.Config != nil && f.Cluster.Config.PostgreSQL.UseSlots
}

func number(s string) int64 {
	n, _ := strconv.ParseInt(s, 10, 64)
	return n
}

// checkContradictions tells each contradiction once, with the members that have it.
func checkContradictions(f *Facts) (out []Finding) {
	for _, c := range contradictions {
		var who []string
		for _, m := range f.Cluster.Members {
			if m.Server.Settings != nil && c.found(m.Server.Settings, f, m) {
				who = append(who, m.Name)
			}
		}
		if len(who) > 0 {
			out = append(out, Finding{Level: c.level, Where: strings.Join(who, ", "), Text: c.text, Remedy: "quorate edit-config -s " + c.fix})
		}
	}
	return append(out, synchronousAlone(f)...)
}

func synchronousAlone(f *Facts) []Finding {
	c := f.Cluster.Config
	if c == nil || !c.SynchronousMode.Enabled() || len(f.Cluster.Members) > 1 {
		return nil
	}
	return []Finding{warning("synchronous_mode", "it is on in a cluster of one member: there is nobody to wait for", "add a standby, or quorate edit-config -s synchronous_mode=off")}
}

// standbyMinimums must not be lower on a standby than on its primary (PostgreSQL's manual, 27.4.3).
var standbyMinimums = []string{"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}

func checkStandbyLimits(f *Facts) (out []Finding) {
	i := slices.IndexFunc(f.Cluster.Members, Member.IsLeader)
	if i < 0 || f.Cluster.Members[i].Server.Settings == nil {
		return nil
	}
	leader := f.Cluster.Members[i]
	for _, m := range f.Cluster.Members {
		for _, name := range standbyMinimums {
			want, have := leader.Server.Settings[name], m.Server.Settings[name]
			if have != "" && number(have) < number(want) {
				out = append(out, danger(m.Name, fmt.Sprintf("%s is %s, and %s on the primary: replay stops or the server does not start", name, have, want),
					"quorate restart "+f.Scope+" "+m.Name))
			}
		}
	}
	return out
}
