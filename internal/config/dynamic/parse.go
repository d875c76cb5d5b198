package dynamic

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads a shared configuration. Settings that are missing get their default, those that cannot be used a safe value and a
// Correction; the corrections stand in the order of the settings' names.
func Parse(raw map[string]any, p Profile) (Config, []Correction) {
	var out []Correction
	r := &reader{raw: raw, out: &out}
	var c Config
	c.times(r, p)
	c.failover(r)
	c.synchronous(r)
	c.slots(r)
	c.standby(r)
	c.PostgreSQL = parsePostgreSQL(r, c.StandbyCluster)
	r.unknown()
	slices.SortStableFunc(out, func(a, b Correction) int { return strings.Compare(a.Setting, b.Setting) })
	return c, out
}

func (c *Config) failover(r *reader) {
	c.PrimaryRaceBackoff = r.duration(0, "primary_race_backoff")
	c.MaximumLagOnFailover = scalar(r, 1<<20, Bytes, "maximum_lag_on_failover")
	if c.MaximumLagOnFailover < 0 {
		r.adjusted("maximum_lag_on_failover", Text(c.MaximumLagOnFailover), "0", "a lag cannot be negative")
		c.MaximumLagOnFailover = 0
	}
	c.MaxTimelinesHistory = r.int("max_timelines_history", 0, 0)
	c.PrimaryStartTimeout = r.duration(300*time.Second, "primary_start_timeout", "master_start_timeout")
	c.PrimaryStopTimeout = r.duration(0, "primary_stop_timeout", "master_stop_timeout")
	c.FailsafeMode = r.bool("failsafe_mode", false)
	c.CheckTimeline = r.bool("check_timeline", true)
	c.Pause = r.bool("pause", false)
}

func (c *Config) synchronous(r *reader) {
	c.SynchronousMode = SyncOff
	if key, v, ok := r.get("synchronous_mode"); ok {
		on, err := Bool(v)
		switch {
		case strings.EqualFold(Text(v), string(SyncQuorum)):
			c.SynchronousMode = SyncQuorum
		case err != nil:
			// Whoever wrote this wanted some guarantee. "on" keeps one; "off" would lose it unnoticed.
			c.SynchronousMode = SyncOn
			r.wrong(key, Quote(v), string(SyncOn), "expected off, on or quorum")
		case on:
			c.SynchronousMode = SyncOn
		}
	}
	c.SynchronousModeStrict = r.bool("synchronous_mode_strict", false)
	c.SynchronousNodeCount = r.int("synchronous_node_count", 1, 1)
	c.MaximumLagOnSyncnode = scalar(r, -1, Bytes, "maximum_lag_on_syncnode")
}

func (c *Config) standby(r *reader) {
	s, ok := r.sub("standby_cluster")
	if !ok {
		return
	}
	sc := StandbyCluster{
		Host:                  s.text("host"),
		Port:                  s.text("port"),
		PrimarySlotName:       s.text("primary_slot_name"),
		CreateReplicaMethods:  s.strings("create_replica_methods", "create_replica_method"),
		RestoreCommand:        s.text("restore_command"),
		ArchiveCleanupCommand: s.text("archive_cleanup_command"),
		RecoveryMinApplyDelay: s.text("recovery_min_apply_delay"),
	}
	s.unknown()
	for port := range strings.SplitSeq(sc.Port, ",") {
		if n, err := strconv.Atoi(strings.TrimSpace(port)); sc.Port != "" && port != "" && (err != nil || n < 1 || n > 65535) {
			// It stays: without it this might be another server's standby, or no standby cluster and a primary.
			s.wrong("port", Quote(sc.Port), Quote(sc.Port), "expected a port, or several in the order of the hosts; nothing can be followed by it")
			break
		}
	}
	if sc.Host == "" && sc.Port == "" && sc.RestoreCommand == "" {
		if len(s.raw) > 0 {
			r.wrong("standby_cluster", "a section without host, port and restore_command", "",
				"nothing says what to follow, so this is no standby cluster")
		}
		return
	}
	c.StandbyCluster = &sc
}

func (c *Config) slots(r *reader) {
	c.MemberSlotsTTL = scalar(r, 30*time.Minute, func(v any) (time.Duration, error) { return Duration(v, time.Second) }, "member_slots_ttl")
	if c.MemberSlotsTTL < 0 {
		c.MemberSlotsTTL = 0
	}
	c.Slots = map[string]Slot{}
	if s, ok := r.sub("slots", "permanent_slots", "permanent_replication_slots"); ok {
		for _, name := range SortedKeys(s.raw) {
			slot, err := parseSlot(name, s.raw[name])
			if err != nil {
				s.wrong(name, Quote(s.raw[name]), "", err.Error())
				continue
			}
			s.strangers(name, s.raw[name], slotFields)
			c.Slots[name] = slot
		}
	}
	key, items, _ := r.list("ignore_slots")
	for i, v := range items {
		m, err := parseMatcher(v)
		if err != nil {
			r.wrong(fmt.Sprintf("%s[%d]", key, i), Quote(v), "", err.Error())
			continue
		}
		r.strangers(fmt.Sprintf("%s[%d]", key, i), v, matcherFields)
		c.IgnoreSlots = append(c.IgnoreSlots, m)
	}
}
