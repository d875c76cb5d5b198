package rest

import "fmt"

// nodeMetrics are the metrics of Patroni 4.1 and of its development branch, with their names and types.
var nodeMetrics = []nodeMetric{
	gauge(versionName, "Version of Patroni that the interfaces follow, two digits for each part.",
		func(s *NodeStatus, _ bool) float64 { return versionMetric(s.Version) }),
	flag("patroni_postgres_running", "1 if PostgreSQL runs and answers.",
		func(s *NodeStatus, _ bool) bool { return s.Postgres.shown() == StateRunning }),
	gauge("patroni_postmaster_start_time", "Start of PostgreSQL in seconds since 1970; 0 if it does not answer.",
		func(s *NodeStatus, _ bool) float64 {
			if !s.Postgres.Answering {
				return 0
			}
			return unixSeconds(s.Postgres.StartedAt)
		}),
	flag("patroni_primary", "1 if PostgreSQL is a primary.", role(RolePrimary)),
	counter("patroni_xlog_location", "Flushed position of the WAL in bytes; 0 on a standby.", func(p Postgres) uint64 {
		if p.Role != RolePrimary {
			return 0
		}
		return p.Location
	}),
	flag("patroni_standby_leader", "1 if this node leads a standby cluster.", role(RoleStandbyLeader)),
	flag("patroni_replica", "1 if PostgreSQL is a standby.", role(RoleReplica)),
	flag("patroni_sync_standby", "1 if this node is a synchronous standby.",
		func(s *NodeStatus, fresh bool) bool { return fresh && s.Postgres.Answering && s.Sync == SyncOn }),
	flag("patroni_quorum_standby", "1 if this node is a standby of the quorum.",
		func(s *NodeStatus, fresh bool) bool { return fresh && s.Postgres.Answering && s.Sync == SyncQuorum }),
	counter("patroni_xlog_received_location", "Received position of the WAL in bytes; 0 on a primary.", func(p Postgres) uint64 {
		if p.Role == RolePrimary {
			return 0
		}
		return p.Received
	}),
	counter("patroni_xlog_replayed_location", "Replayed position of the WAL in bytes; 0 on a primary.", func(p Postgres) uint64 {
		if p.Role == RolePrimary {
			return 0
		}
		return p.Replayed
	}),
	gauge("patroni_xlog_replayed_timestamp", "Commit time of the last transaction replayed, in seconds since 1970; 0 if there is none.",
		func(s *NodeStatus, _ bool) float64 {
			if !s.Postgres.Answering || s.Postgres.Role == RolePrimary {
				return 0
			}
			return unixSeconds(s.Postgres.ReplayedAt)
		}),
	flag("patroni_xlog_paused", "1 if the replay of WAL is paused.",
		func(s *NodeStatus, _ bool) bool { return s.Postgres.Answering && s.Postgres.ReplayPaused }),
	replicationState("patroni_postgres_streaming", "1 if PostgreSQL streams from another node.", "streaming"),
	replicationState("patroni_postgres_in_archive_recovery", "1 if PostgreSQL replays from the archive.", "in archive recovery"),
	gauge("patroni_postgres_server_version", "Version number of PostgreSQL; 0 if it does not answer.",
		func(s *NodeStatus, _ bool) float64 { return ifAnswering(s, s.Postgres.ServerVersion) }),
	flag("patroni_cluster_unlocked", "1 if nobody holds the leader key.",
		func(s *NodeStatus, fresh bool) bool { return !fresh || s.View.Leader == "" }),
	flag("patroni_failsafe_mode_is_active", "1 if the members keep the primary up without the store.",
		func(s *NodeStatus, _ bool) bool { return s.Failsafe.Active }),
	flag("patroni_failsafe_mode_enabled", "1 if failsafe_mode is on.",
		func(s *NodeStatus, _ bool) bool { return s.Failsafe.Enabled }),
	flag("patroni_failsafe_member", "1 if this node is asked in failsafe mode.",
		func(s *NodeStatus, _ bool) bool { _, ok := s.Failsafe.Members[s.Name]; return ok }),
	gauge("patroni_postgres_timeline", "Timeline of PostgreSQL; 0 if it does not answer.",
		func(s *NodeStatus, _ bool) float64 { return ifAnswering(s, int(s.Postgres.Timeline)) }),
	gauge("patroni_dcs_last_seen", "Last successful contact with the store, in seconds since 1970.",
		func(s *NodeStatus, _ bool) float64 { return float64(int64(unixSeconds(s.View.LastSeen))) }),
	flag("patroni_pending_restart", "1 if a parameter waits for a restart.",
		func(s *NodeStatus, _ bool) bool { return len(s.PendingRestart) > 0 }),
	flag("patroni_is_paused", "1 if the cluster's management is paused.",
		func(s *NodeStatus, _ bool) bool { return s.View.Paused }),
	gauge("patroni_postgres_state", stateHelp(), func(s *NodeStatus, _ bool) float64 { return float64(s.Postgres.shown().Number()) }),
	gauge("patroni_failover_priority", "Priority of this node in a race for the lead; 0: never.",
		func(s *NodeStatus, _ bool) float64 { return float64(failoverPriority(s.Tags)) }),
}

func role(r Role) func(*NodeStatus, bool) bool {
	return func(s *NodeStatus, _ bool) bool { return s.Postgres.Role == r }
}

func replicationState(name, help, state string) nodeMetric {
	return nodeMetric{name, help, "gauge", func(s *NodeStatus, _ bool) (float64, bool) {
		return number01(s.Postgres.ReplicationState == state), s.Postgres.Answering
	}}
}

func ifAnswering(s *NodeStatus, n int) float64 {
	if !s.Postgres.Answering {
		return 0
	}
	return float64(n)
}

func stateHelp() string {
	help := "State of PostgreSQL as a number."
	for i, s := range states {
		help += fmt.Sprintf(" %d=%s", i, s)
	}
	return help
}
