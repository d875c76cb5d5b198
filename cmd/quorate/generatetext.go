package main

import (
	"cmp"
	"fmt"
	"net"
	"strings"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
)

// notKept are parameters that follow from other settings, or that name what this server's file layout is.
var notKept = map[string]bool{
	"listen_addresses": true, "port": true, "cluster_name": true, "hot_standby": true, "config_file": true, "data_directory": true,
	"hba_file": true, "ident_file": true, "external_pid_file": true, "primary_conninfo": true, "primary_slot_name": true,
	"synchronous_standby_names": true, "recovery_target_timeline": true, "restart_after_crash": true,
}

// sections are the server's bootstrap and postgresql, as a person would write them, with what is still to be done. Parameters that must be equal
// on all members stand in bootstrap.dcs.
func (s server) sections(address string) string {
	shared, own := map[string]any{}, map[string]any{}
	for _, name := range s.changed {
		switch {
		case notKept[name]:
		case dynamic.IsSharedParameter(name):
			shared[name] = s.settings[name]
		default:
			own[name] = s.settings[name]
		}
	}
	var b strings.Builder
	b.WriteString(`bootstrap:
  # The first configuration of the cluster. Later it is changed by ` + "`quorate edit-config`" + `, and not here.
  dcs:
    ttl: 3
    loop_wait: 1
    retry_timeout: 1
    postgresql:
      use_pg_rewind: true
`)
	b.WriteString(block("      ", "parameters", shared))
	b.WriteString("\npostgresql:\n")
	if s.loopbackOnly() {
		b.WriteString("  # It listens for this host alone. Standbys on other hosts need: '*:" + s.setting("port") + "'\n")
	}
	b.WriteString(block("  ", "listen", strings.ReplaceAll(s.setting("listen_addresses"), " ", "")+":"+s.setting("port")))
	b.WriteString(block("  ", "connect_address", net.JoinHostPort(address, s.setting("port"))))
	b.WriteString(block("  ", "data_dir", s.setting("data_directory")))
	if s.binDir != "" {
		b.WriteString(block("  ", "bin_dir", s.binDir))
	}
	s.authentication(&b)
	b.WriteString(block("  ", "parameters", own))
	s.access(&b)
	return b.String()
}

// loopbackOnly says whether no other host can connect.
func (s server) loopbackOnly() bool {
	for name := range strings.SplitSeq(s.setting("listen_addresses"), ",") {
		name = strings.TrimSpace(name)
		if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return name == ""
		}
	}
	return true
}

func (s server) authentication(b *strings.Builder) {
	b.WriteString("  authentication:\n")
	b.WriteString("    superuser:\n" + block("      ", "username", s.user) + block("      ", "password", cmp.Or(s.password, config.Placeholder)))
	for _, e := range s.encryption {
		b.WriteString(block("      ", e.Name, e.Value))
	}
	if s.replication == "" {
		b.WriteString("    # This role is not there yet: CREATE ROLE replicator REPLICATION LOGIN PASSWORD '...'\n")
	}
	b.WriteString("    replication:\n" + block("      ", "username", cmp.Or(s.replication, "replicator")) + block("      ", "password", config.Placeholder))
}

// access writes who may connect. A server whose rules cannot be read from here keeps its own files.
func (s server) access(b *strings.Builder) {
	if len(s.hba) == 0 {
		b.WriteString("  # pg_hba:                             # the rules could not be read from here: " + s.setting("hba_file") + "\n")
		return
	}
	fmt.Fprintf(b, "  # As they are in %s. The other hosts' members need: host replication %s NETWORK scram-sha-256\n",
		s.setting("hba_file"), cmp.Or(s.replication, "replicator"))
	b.WriteString(block("  ", "pg_hba", s.hba))
	if len(s.ident) > 0 {
		b.WriteString(block("  ", "pg_ident", s.ident))
	}
}

// block is one setting with all that is in it, moved in.
func block(indent, key string, value any) string {
	var b strings.Builder
	for line := range strings.Lines(ctl.FormatYAML(map[string]any{key: value}, false)) {
		b.WriteString(indent + line)
	}
	return b.String()
}
