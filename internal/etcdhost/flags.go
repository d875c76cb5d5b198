package etcdhost

import (
	"slices"
	"strings"
)

// option is one of etcd's options. note says why it has no meaning here; empty for one that has.
type option struct {
	name, def string
	boolean   bool
	note      string
}

// experimental is in front of options that etcd 3.6 has without it. Both names are understood.
const experimental = "experimental-"

const (
	noWAL       = "the log and its snapshots are bounded by themselves and lie in --data-dir"
	noBackend   = "the backend file is a cache of the log"
	noDiscovery = "discovery"
	noSettings  = "there is no discovery service"
	noProxy     = "the v2 proxy"
)

// options are those of etcd 3.4, 3.5 and 3.6.
var options = []option{
	{name: "name", def: "default"},
	{name: "data-dir"},
	{name: "config-file"},
	{name: "version", boolean: true},
	{name: "listen-peer-urls", def: "http://localhost:2380"},
	{name: "listen-client-urls", def: "http://localhost:2379"},
	{name: "listen-client-http-urls"},
	{name: "initial-advertise-peer-urls", def: "http://localhost:2380"},
	{name: "advertise-client-urls", def: "http://localhost:2379"},
	{name: "initial-cluster"},
	{name: "initial-cluster-state", def: "new"},
	{name: "heartbeat-interval", def: "100"},
	{name: "election-timeout", def: "1000"},
	{name: "snapshot-count", def: "100000"},
	{name: "quota-backend-bytes", def: "0"},
	{name: "max-txn-ops", def: "128"},
	{name: "max-request-bytes", def: "1572864"},
	{name: "auto-compaction-retention"},
	{name: "auto-compaction-mode", def: "periodic"},
	{name: "enable-v2", def: "true", boolean: true},
	{name: "force-new-cluster", boolean: true},
	{name: "listen-metrics-urls"}, {name: "metrics", def: "basic"},
	{name: "experimental-watch-progress-notify-interval"}, {name: "experimental-wait-cluster-ready-timeout", def: "5s"},
	{name: "log-level", def: "info"},
	{name: "log-format", def: "json"},
	{name: "logger", def: "zap"}, {name: "log-outputs", def: "default"}, {name: "log-output"},
	{name: "enable-log-rotation", boolean: true}, {name: "log-rotation-config-json"},
	{name: "auth-token", def: "simple"}, {name: "auth-token-ttl", def: "300"}, {name: "bcrypt-cost", def: "10"},
	{name: "max-concurrent-streams", def: "0"},
	{name: "debug", boolean: true},

	{name: "cert-file"}, {name: "key-file"}, {name: "client-cert-auth", boolean: true}, {name: "client-crl-file"},
	{name: "client-cert-allowed-hostname"}, {name: "trusted-ca-file"}, {name: "auto-tls", boolean: true},
	{name: "ca-file"}, {name: "peer-ca-file"},
	{name: "peer-cert-file"}, {name: "peer-key-file"}, {name: "peer-client-cert-auth", boolean: true}, {name: "peer-crl-file"},
	{name: "peer-cert-allowed-cn"}, {name: "peer-cert-allowed-hostname"}, {name: "peer-trusted-ca-file"},
	{name: "peer-auto-tls", boolean: true}, {name: "peer-client-cert-file"}, {name: "peer-client-key-file"},
	{name: "client-cert-file"}, {name: "client-key-file"},
	{name: "self-signed-cert-validity", def: "1"}, {name: "cipher-suites"},
	{name: "tls-min-version"}, {name: "tls-max-version"},

	{name: "discovery", note: noDiscovery}, {name: "discovery-srv", note: noDiscovery},
	{name: "discovery-srv-name", note: noDiscovery}, {name: "discovery-proxy", note: noDiscovery},
	{name: "discovery-token", note: noDiscovery}, {name: "discovery-endpoints", note: noDiscovery},
	{name: "discovery-dial-timeout", note: noSettings}, {name: "discovery-request-timeout", note: noSettings},
	{name: "discovery-keepalive-time", note: noSettings}, {name: "discovery-keepalive-timeout", note: noSettings},
	{name: "discovery-insecure-transport", boolean: true, note: noSettings},
	{name: "discovery-insecure-skip-tls-verify", boolean: true, note: noSettings},
	{name: "discovery-cert", note: noSettings}, {name: "discovery-key", note: noSettings}, {name: "discovery-cacert", note: noSettings},
	{name: "discovery-user", note: noSettings}, {name: "discovery-password", note: noSettings},
	{name: "discovery-fallback", def: "proxy", note: "there is no discovery service to fall back from"},
	{name: "proxy", def: "off", note: noProxy},
	{name: "proxy-failure-wait", note: noProxy}, {name: "proxy-refresh-interval", note: noProxy},
	{name: "proxy-dial-timeout", note: noProxy}, {name: "proxy-write-timeout", note: noProxy}, {name: "proxy-read-timeout", note: noProxy},

	{name: "initial-cluster-token", def: "etcd-cluster", note: "every cluster gets an id of its own"},
	{name: "wal-dir", note: noWAL}, {name: "max-snapshots", note: noWAL}, {name: "max-wals", note: noWAL},
	{name: "experimental-snapshot-catchup-entries", note: noWAL},
	{name: "unsafe-no-fsync", boolean: true, note: "the log is always synced"},
	{name: "backend-batch-interval", note: noBackend}, {name: "backend-batch-limit", note: noBackend},
	{name: "experimental-backend-bbolt-freelist-type", note: noBackend},
	{name: "experimental-memory-mlock", boolean: true, note: "the files are locked in memory as far as the limits allow"},
	{name: "experimental-bootstrap-defrag-threshold-megabytes", note: noBackend},
	{name: "initial-election-tick-advance", def: "true", boolean: true, note: "the first election does not wait for a timer"},
	{name: "pre-vote", def: "true", boolean: true, note: "pre-votes are always asked for"},
	{name: "strict-reconfig-check", def: "true", boolean: true, note: "a change that would lose the quorum is always refused"},
	{name: "enable-grpc-gateway", def: "true", boolean: true, note: "the JSON gateway is always there"},
	{name: "grpc-keepalive-min-time", def: "5s", note: "it is 5s"}, {name: "grpc-keepalive-interval", def: "2h", note: "it is 2h"},
	{name: "grpc-keepalive-timeout", def: "20s", note: "it is 20s"},
	{name: "socket-reuse-port", boolean: true, note: "sockets are not shared"},
	{name: "socket-reuse-address", boolean: true, note: "Go's sockets reuse addresses"},
	{name: "cors", def: "*"}, {name: "host-whitelist", def: "*"},
	{name: "enable-pprof", boolean: true},
	{name: "feature-gates", note: "nothing here is experimental in etcd's sense"},
	{name: "raft-read-timeout", note: "peers that are silent are noticed by Raft's timers"},
	{name: "raft-write-timeout", note: "peers that are silent are noticed by Raft's timers"},
	{name: "next-cluster-version-compatible", boolean: true, note: "there is no older version to go back to"},
	{name: "log-package-levels", note: "the log has one level"},
	{name: "v2-deprecation", note: "the v2 API is the store's own"},
	{name: "experimental-enable-v2v3", note: "the v2 API has data of its own"},
	{name: "experimental-initial-corrupt-check", boolean: true, note: "members compare their data always"},
	{name: "experimental-corrupt-check-time", note: "members compare their data always"},
	{name: "experimental-compact-hash-check-enabled", boolean: true, note: "members compare their data always"},
	{name: "experimental-compact-hash-check-time", note: "members compare their data always"},
	{name: "experimental-enable-lease-checkpoint", boolean: true, note: "members always know what is left of leases"},
	{name: "experimental-enable-lease-checkpoint-persist", boolean: true, note: "members always know what is left of leases"},
	{name: "experimental-compaction-batch-limit", note: "it is 1000"}, {name: "experimental-compaction-sleep-interval", note: "it is 10ms"},
	{name: "experimental-peer-skip-client-san-verification", boolean: true, note: "it is never looked at"},
	{name: "experimental-warning-apply-duration", note: "slow requests are seen in the metrics"},
	{name: "experimental-warning-unary-request-duration", note: "slow requests are seen in the metrics"},
	{name: "experimental-downgrade-check-time", note: "there is no older version to go back to"},
	{name: "experimental-max-learners", note: "up to 7 learners may be there"},
	{name: "experimental-txn-mode-write-with-shared-buffer", def: "true", boolean: true, note: noBackend},
	{name: "experimental-stop-grpc-service-on-defrag", boolean: true, note: noBackend},
	{name: "experimental-enable-distributed-tracing", boolean: true, note: "there is no tracing"},
	{name: "experimental-distributed-tracing-address", note: "there is no tracing"},
	{name: "experimental-distributed-tracing-service-name", note: "there is no tracing"},
	{name: "experimental-distributed-tracing-instance-id", note: "there is no tracing"},
	{name: "experimental-distributed-tracing-sampling-rate", note: "there is no tracing"},
}

// byName finds an option by one of its names.
func byName(name string) (option, bool) {
	for _, o := range options {
		if slices.Contains(o.names(), name) {
			return o, true
		}
	}
	return option{}, false
}

// names are those of an option on the command line and in the file; the first is the one that it has here.
func (o option) names() []string {
	if later, ok := strings.CutPrefix(o.name, experimental); ok {
		return []string{o.name, later}
	}
	return []string{o.name}
}

// variable is a name of an option as the environment has it.
func variable(name string) string {
	return "ETCD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}
