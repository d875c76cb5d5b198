package config

import "strings"

// form says how the text of a variable is read.
type form int

const (
	asText   form = iota
	asList        // a YAML list, or texts with commas between
	asDict        // a YAML mapping, with or without braces
	asYAML        // any YAML
	asFormat      // a format of log lines: text with %(fields), or a list of fields
)

// variable is one setting that the environment can give.
type variable struct {
	path []string
	form form
}

// dcsKeys are the settings of a store's section, in the environment under each store's name (PATRONI_ETCD3_HOSTS).
const dcsKeys = `host port url proxy srv srv_suffix use_proxies protocol cacert cert key key_password
	verify token checks dc consistency register_service service_check_interval service_tags use_ssl set_acls service_check_tls_server_name namespace context
	use_endpoints scope_label role_label pod_ip ports labels bypass_api_service retriable_http_codes leader_label_value follower_label_value
	standby_leader_label_value tmp_role_label auth_data username password bootstrap_labels`

var authKeys = strings.Fields(`username password sslmode sslkey sslcert sslpassword sslrootcert sslcrl sslcrldir gssencmode
	channel_binding sslnegotiation`)

// environmentNames are Patroni's variables and ours with the settings that they give.
func environmentNames() map[string]variable {
	m := map[string]variable{}
	add := func(prefix, section, keys string, f form) {
		for _, key := range strings.Fields(keys) {
			path := []string{key}
			if section != "" {
				path = []string{section, key}
			}
			m[prefix+strings.ToUpper(key)] = variable{path, f}
		}
	}
	addPatroni(m, add)
	for _, store := range append([]string{"etcd", "etcd3"}, foreignStores...) {
		add("PATRONI_"+strings.ToUpper(store)+"_", store, dcsKeys, asText)
		add("PATRONI_"+strings.ToUpper(store)+"_", store, "hosts", asList)
	}
	add("PATRONI_CITUS_", "citus", "group database", asText)
	add("PATRONI_RAFT_", "raft", `data_dir self_addr password bind_addr min_timeout max_timeout connection_timeout
		append_entries_period connection_retry_time leader_fallback_timeout`, asText)
	add("PATRONI_RAFT_", "raft", "partner_addrs", asList)
	addOurs(m, add)
	return m
}

func addPatroni(m map[string]variable, add func(prefix, section, keys string, f form)) {
	add("PATRONI_", "", "name namespace scope thread_pool_size thread_stack_size", asText)
	add("PATRONI_LOG_", "log", "type level traceback_level dateformat max_queue_size dir mode file_size file_num deduplicate_heartbeat_logs", asText)
	add("PATRONI_LOG_", "log", "format", asFormat)
	add("PATRONI_LOG_", "log", "static_fields loggers", asDict)
	m["PATRONI_LOGLEVEL"] = variable{[]string{"log", "level"}, asText}
	m["PATRONI_LOGFORMAT"] = variable{[]string{"log", "format"}, asFormat}
	m["PATRONI_LOG_DATEFMT"] = variable{[]string{"log", "dateformat"}, asText}
	add("PATRONI_RESTAPI_", "restapi", `listen connect_address certfile keyfile keyfile_password cafile ciphers verify_client
		allowlist_include_members request_queue_size thread_pool_size server_tokens`, asText)
	add("PATRONI_RESTAPI_", "restapi", "allowlist", asList)
	add("PATRONI_RESTAPI_", "restapi", "http_extra_headers https_extra_headers", asDict)
	add("PATRONI_CTL_", "ctl", "insecure cacert certfile keyfile keyfile_password", asText)
	for _, section := range []string{"restapi", "ctl"} {
		for _, key := range []string{"username", "password"} {
			m["PATRONI_"+strings.ToUpper(section+"_"+key)] = variable{[]string{section, "authentication", key}, asText}
		}
	}
	add("PATRONI_POSTGRESQL_", "postgresql", "listen connect_address proxy_address config_dir data_dir pgpass bin_dir", asText)
	for _, binary := range strings.Fields("pg_ctl initdb pg_controldata pg_basebackup postgres pg_isready pg_rewind") {
		m["PATRONI_POSTGRESQL_BIN_"+strings.ToUpper(binary)] = variable{[]string{"postgresql", "bin_name", binary}, asText}
	}
	for _, role := range []string{"superuser", "replication", "rewind"} {
		for _, key := range authKeys {
			m["PATRONI_"+strings.ToUpper(role+"_"+key)] = variable{[]string{"postgresql", "authentication", role, key}, asText}
		}
	}
}

func addOurs(m map[string]variable, add func(prefix, section, keys string, f form)) {
	m["QUORATE_ROLES"] = variable{[]string{"roles"}, asList}
	add("QUORATE_", "", "name namespace scope", asText)
	add("QUORATE_STORE_", "store", "data_dir listen client_port peer_port expect election_timeout quota", asText)
	add("QUORATE_STORE_", "store", "tls client_tls", asDict)
	add("QUORATE_STORE_", "store", "cors", asList)
	add("QUORATE_GOSSIP_", "gossip", "listen advertise secret insecure", asText)
	add("QUORATE_GOSSIP_", "gossip", "join", asList)
	add("QUORATE_PROXY_", "proxy", `zone max_sessions start_timeout connect_timeout linger_timeout stale_reads
		drain drain_timeout upgrade_timeout tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count tcp_user_timeout access_log stats_listen`, asText)
	add("QUORATE_PROXY_", "proxy", "listeners", asYAML)
}
