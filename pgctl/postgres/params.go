package postgres

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Clusterwide are the parameters that must agree on all members, so that any of them can take over: they come from the
// cluster's configuration alone and are given to the postmaster as arguments, over which neither the file nor ALTER SYSTEM
// wins. They are Patroni's (its documentation, "PostgreSQL parameters controlled by Patroni").
var Clusterwide = []string{
	"max_connections", "max_locks_per_transaction", "max_worker_processes", "max_prepared_transactions", "wal_level",
	"track_commit_timestamp", "max_wal_senders", "max_replication_slots", "wal_log_hints",
}

// Reserved are the parameters that the agent alone decides: a value that the configuration has for them is put aside with a Correction.
var Reserved = []string{
	"listen_addresses", "port", "cluster_name", "hot_standby", "restart_after_crash", "data_directory", "primary_conninfo",
	"primary_slot_name", "synchronous_standby_names", "standby_mode", "trigger_file", "promote_trigger_file",
}

// Correction says which parameter is not used as it was written, and why, for the log and for whoever wrote it.
type Correction struct {
	Name   string
	Was    string
	Is     string // "" when the parameter is left out; Was when it is kept although it is unwise
	Reason string
}

// String is a sentence.
func (c Correction) String() string {
	if c.Is == "" {
		return fmt.Sprintf("%s = %q is left out: %s", c.Name, c.Was, c.Reason)
	}
	if c.Is == c.Was {
		return fmt.Sprintf("%s = %q is kept, but: %s", c.Name, c.Was, c.Reason)
	}
	return fmt.Sprintf("%s = %q is used as %q: %s", c.Name, c.Was, c.Is, c.Reason)
}

// clusterDefault is what a clusterwide parameter is when nothing (or something that cannot be) was written.
type clusterDefault struct {
	value string
	min   int  // least number; for a boolean and for wal_level unused
	bool  bool // the parameter is on or off
}

var clusterDefaults = map[string]clusterDefault{
	"max_connections":           {value: "100", min: 25},
	"max_locks_per_transaction": {value: "64", min: 32},
	"max_worker_processes":      {value: "8", min: 2},
	"max_prepared_transactions": {value: "0"},
	"wal_level":                 {value: "replica"},
	"track_commit_timestamp":    {value: "off", bool: true},
	"max_wal_senders":           {value: "10", min: 3},
	"max_replication_slots":     {value: "10", min: 4},
	"wal_log_hints":             {value: "on", bool: true},
}

// replicationDefaults are ours, for a standby to notice a lost primary, and to find the new one, within seconds. What the user
// wrote wins.
var replicationDefaults = Params{
	"wal_retrieve_retry_interval":  "500ms",
	"wal_receiver_timeout":         "5s",
	"wal_sender_timeout":           "5s",
	"wal_receiver_status_interval": "1s",
	"max_slot_wal_keep_size":       "10GB",
	"wal_keep_size":                "128MB",
	"recovery_target_timeline":     "latest",
}

// Effective are the parameters of a member made from what its configuration says, for a server of version v, together with all
// corrections in order of name. Applying it to its own result changes nothing.
func Effective(configured Params, v Version) (Params, []Correction) {
	e := effective{out: make(Params, len(configured)), version: v}
	for _, name := range configured.Names() {
		e.take(strings.ToLower(name), configured[name])
	}
	for name, d := range clusterDefaults {
		if _, ok := e.out[name]; !ok {
			e.out[name] = d.value
		}
	}
	for name, value := range replicationDefaults {
		if _, ok := e.out[name]; !ok && KnownIn(name, v) {
			e.out[name] = value
		}
	}
	e.out["hot_standby"] = "on"
	e.out["restart_after_crash"] = "off"
	return e.out, e.corrections
}

type effective struct {
	out         Params
	version     Version
	corrections []Correction
}

func (e *effective) correct(name, was, is, reason string) {
	e.corrections = append(e.corrections, Correction{name, was, is, reason})
}

func (e *effective) take(name, written string) {
	value := strings.TrimSpace(written)
	d, clusterwide := clusterDefaults[name]
	switch {
	case name == "hot_standby" || name == "restart_after_crash":
		e.takeForced(name, value)
	case slices.Contains(Reserved, name):
		e.correct(name, value, "", "the agent decides it")
	case name == "wal_keep_segments" || name == "wal_keep_size":
		e.takeWALKeep(name, value)
	case !KnownIn(name, e.version):
		e.correct(name, value, "", fmt.Sprintf("version %d has no such parameter", e.version.Major()))
	case name == "wal_level":
		e.takeWALLevel(value)
	case clusterwide && d.bool:
		e.takeBool(name, value, d)
	case clusterwide:
		e.takeNumber(name, value, d)
	default:
		e.out[name] = written // blanks at the end of a log_line_prefix are a part of it
		if name == "recovery_target_timeline" && value != "latest" {
			e.correct(name, value, value, "a standby that does not look for the latest timeline cannot follow a failover")
		}
	}
}

// takeForced warns only of a value that differs from the one that is forced.
func (e *effective) takeForced(name, value string) {
	is := map[string]string{"hot_standby": "on", "restart_after_crash": "off"}[name]
	reason := map[string]string{
		"hot_standby":         "a standby that nobody can ask cannot be judged",
		"restart_after_crash": "after a crash the agent decides whether this member starts again or another one takes over",
	}[name]
	if !SameValue("bool", "", value, is) {
		e.correct(name, value, is, reason)
	}
}

func (e *effective) takeWALLevel(value string) {
	switch strings.ToLower(value) {
	case "replica", "logical":
		e.out["wal_level"] = strings.ToLower(value)
	case "hot_standby", "archive": // names of versions before 9.6, still in many configurations
		e.out["wal_level"] = "replica"
	default:
		e.out["wal_level"] = "replica"
		e.correct("wal_level", value, "replica", "replication needs replica or logical")
	}
}

func (e *effective) takeBool(name, value string, d clusterDefault) {
	b, ok := ParseBool(value)
	if !ok {
		e.out[name] = d.value
		e.correct(name, value, d.value, "it is on or off")
		return
	}
	e.out[name] = "off"
	if b {
		e.out[name] = "on"
	}
}

func (e *effective) takeNumber(name, value string, d clusterDefault) {
	n, ok := ParseInUnit(value, "")
	if !ok || n != math.Trunc(n) || n < float64(d.min) || n > math.MaxInt32 {
		e.out[name] = d.value
		e.correct(name, value, d.value, fmt.Sprintf("it is a whole number, %d or more", d.min))
		return
	}
	e.out[name] = strconv.Itoa(int(n))
}

// takeWALKeep turns wal_keep_segments (before version 13) and wal_keep_size into the one that the version has. If both were written,
// the one of the version wins.
func (e *effective) takeWALKeep(name, value string) {
	const segMB = 16
	unit, least := "MB", float64(segMB)
	if name == "wal_keep_segments" {
		unit, least = "", 1
	}
	want := "wal_keep_segments"
	if KnownIn("wal_keep_size", e.version) {
		want = "wal_keep_size"
	}
	n, ok := ParseInUnit(value, unit)
	if !ok || n < least || n > math.MaxInt32 {
		e.correct(name, value, "", fmt.Sprintf("it is %g%s or more", least, unit))
		return
	}
	if name == want {
		e.out[name] = value
		return
	}
	if _, ok := e.out[want]; ok {
		return
	}
	if want == "wal_keep_size" {
		e.out[want] = fmt.Sprintf("%dMB", int64(n)*segMB)
		return
	}
	e.out[want] = strconv.FormatInt(int64(math.Ceil(n/segMB)), 10)
}
