package etcdhost

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func parse(t *testing.T, line string, env ...string) *Config {
	t.Helper()
	c, err := Parse(strings.Fields(line), environ(env))
	if err != nil {
		t.Fatalf("%s %v: %v", line, env, err)
	}
	return c
}

func environ(list []string) map[string]string {
	m := map[string]string{}
	for _, e := range list {
		name, val, _ := strings.Cut(e, "=")
		m[name] = val
	}
	return m
}

// The environment file of a Debian host, /etc/default/etcd, is a whole configuration.
func TestEnvironment(t *testing.T) {
	env := []string{
		"ETCD_NAME=etcd1", "ETCD_DATA_DIR=/var/lib/etcd", "ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:2379",
		"ETCD_ADVERTISE_CLIENT_URLS=http://10.0.0.1:2379", "ETCD_LISTEN_PEER_URLS=http://0.0.0.0:2380",
		"ETCD_INITIAL_ADVERTISE_PEER_URLS=http://10.0.0.1:2380",
		"ETCD_INITIAL_CLUSTER=etcd1=http://10.0.0.1:2380,etcd2=http://10.0.0.2:2380,etcd3=http://10.0.0.3:2380",
		"ETCD_INITIAL_CLUSTER_TOKEN=etcd-cluster", "ETCD_INITIAL_CLUSTER_STATE=new", "ETCD_ENABLE_V2=true",
	}
	c := parse(t, "", env...)
	if c.Name != "etcd1" || c.DataDir != "/var/lib/etcd" || c.ListenPeer[0].Host != "0.0.0.0:2380" || c.Advertise != "10.0.0.1:2380" ||
		c.Expect != 3 || len(c.Peers) != 3 || c.Peers[2].PeerAddr != "10.0.0.3:2380" || !c.V2 || c.ClientURLs[0] != "http://10.0.0.1:2379" ||
		c.ListenClient[0].Host != "0.0.0.0:2379" || len(c.Warnings) != 0 {
		t.Errorf("%+v", c)
	}
	c = parse(t, "--initial-cluster-state existing -name=etcd1", env...)
	if c.Expect != 0 || len(c.Warnings) != 1 || !strings.Contains(c.Warnings[0], "ETCD_INITIAL_CLUSTER_STATE is overruled") {
		t.Errorf("flags before variables: %+v", c)
	}
}

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		line string
		ok   func(*Config) bool
	}{
		{"", func(c *Config) bool {
			return c.Name == "default" && c.DataDir == "default.etcd" && c.Expect == 1 && c.V2 && c.ElectionTimeout == 0 && c.RetainPeriod == 0
		}},
		{"--enable-v2=false --force-new-cluster", func(c *Config) bool { return !c.V2 && c.ForceNewCluster }},
		{"--election-timeout 2000", func(c *Config) bool { return c.ElectionTimeout == 2*time.Second && len(c.Warnings) == 0 }},
		{"--heartbeat-interval 300 --election-timeout 2000", func(c *Config) bool { return strings.Contains(c.Warnings[0], "here 200ms") }},
		{"--auto-compaction-retention 0", func(c *Config) bool { return c.RetainPeriod < 0 }},
		{"--auto-compaction-retention 2", func(c *Config) bool { return c.RetainPeriod == 2*time.Hour && c.PeriodOnly }},
		{"--auto-compaction-retention 30m", func(c *Config) bool { return c.RetainPeriod == 30*time.Minute && c.PeriodOnly }},
		{"--auto-compaction-retention 1000 --auto-compaction-mode revision", func(c *Config) bool {
			return c.RetainPeriod == 1 && c.RetainRevisions == 1000 && !c.PeriodOnly
		}},
		{"--snapshot-count 5000 --quota-backend-bytes -1", func(c *Config) bool { return c.SnapshotEntries == 5000 && c.Quota == -1 }},
		{"--max-request-bytes 9999999", func(c *Config) bool { return c.MaxRequestBytes == 1536<<10 && len(c.Warnings) == 1 }},
		{"--max-wals 3 --pre-vote --logger zap --wal-dir /w", func(c *Config) bool {
			return len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "--max-wals") && strings.Contains(c.Warnings[0], "--wal-dir")
		}},
		{"--version", func(c *Config) bool { return c.Version }},
		{"--debug", func(c *Config) bool { return c.Log.Level == "DEBUG" }},
		{"", func(c *Config) bool {
			return !c.Log.Console && c.Log.File == "" && !c.Log.Stdout && c.ReadyTimeout == 5*time.Second
		}},
		{"--log-format console --log-outputs stdout", func(c *Config) bool { return c.Log.Console && c.Log.Stdout }},
		{"--logger capnslog", func(c *Config) bool { return c.Log.Console }},
		{`--enable-log-rotation --log-outputs /l --log-rotation-config-json {"maxsize":2,"maxbackups":3}`, func(c *Config) bool {
			return c.Log.File == "/l" && c.Log.MaxSize == 2<<20 && c.Log.Keep == 3
		}},
		{"--auth-token jwt,sign-method=RS256,priv-key=k --auth-token-ttl 60 --bcrypt-cost 4", func(c *Config) bool {
			return strings.HasPrefix(c.Auth.Token, "jwt,") && c.Auth.TokenTTL == time.Minute && c.Auth.BcryptCost == 4 && c.Auth.CertUser == nil && len(c.Warnings) == 0
		}},
		{"--metrics extensive", func(c *Config) bool { return c.ExtensiveMetrics && len(c.Warnings) == 0 }},
		{"--cors http://a.example:80,https://b.example:1 --host-whitelist one,two", func(c *Config) bool {
			return slices.Equal(c.Access.Origins, []string{"http://a.example:80", "https://b.example:1"}) &&
				slices.Equal(c.Access.Hosts, []string{"one", "two"}) && len(c.Warnings) == 0
		}},
		{"--cors *", func(c *Config) bool { return c.Access.Origins == nil && c.Access.Hosts[0] == "*" }},
		{"--client-cert-auth", func(c *Config) bool { return c.Auth.CertUser != nil }},
		{"--watch-progress-notify-interval 3s", func(c *Config) bool { return c.ProgressInterval == 3*time.Second }},
		{"--experimental-watch-progress-notify-interval 3s --max-concurrent-streams 8", func(c *Config) bool {
			return c.ProgressInterval == 3*time.Second && c.MaxStreams == 8
		}},
		{"--feature-gates=InitialCorruptCheck=true --compact-hash-check-time 1m", func(c *Config) bool {
			return len(c.Warnings) == 1 && strings.Contains(c.Warnings[0], "--feature-gates") && strings.Contains(c.Warnings[0], "compact-hash-check-time")
		}},
		{"--tls-min-version TLS1.2 --tls-max-version TLS1.3", func(c *Config) bool {
			return c.ClientTLS.Min == tls.VersionTLS12 && c.PeerTLS.Max == tls.VersionTLS13
		}},
		{"--listen-peer-urls unix://a.sock:1 --initial-advertise-peer-urls unix://a.sock:1 --initial-cluster default=unix://a.sock:1", func(c *Config) bool {
			return c.peerUnix && c.Advertise == "a.sock:1" && c.Peers[0].PeerAddr == "a.sock:1"
		}},
		{"--listen-peer-urls http://127.0.0.1:1,http://127.0.0.2:1", func(c *Config) bool { return len(c.ListenPeer) == 2 && len(c.Warnings) == 0 }},
		{"--cipher-suites TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", func(c *Config) bool { return len(c.ClientTLS.Ciphers) == 1 }},
	} {
		if c := parse(t, tc.line); !tc.ok(c) {
			t.Errorf("%q: %+v", tc.line, c)
		}
	}
}

func TestRefusals(t *testing.T) {
	for line, want := range map[string]string{
		"--cors a.example": "--cors: URL scheme must be",
		"--no-such-flag":   "not defined: -no-such-flag",
		"gateway start":    "is not here: give clients the addresses of all members",
		"grpc-proxy start": "is not here: give clients",
		"start":            `"start" is not a valid flag`,
		"--listen-peer-urls http://127.0.0.1:2380,https://127.0.0.1:2381": "all have TLS or none",
		"--listen-metrics-urls https://127.0.0.1:2381":                    "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url",
		"--auth-token-ttl 0":          "must be positive",
		"--max-concurrent-streams -1": "32 bits",
		"--log-format xml":            "expected json or console",
		"--metrics all":               "expected basic or extensive",
		"--logger log4j":              "expected zap or capnslog",
		"--enable-log-rotation":       "a single file path",
		"--enable-log-rotation --log-outputs f --log-rotation-config-json x": "--log-rotation-config-json",
		"--tls-min-version TLS9":                            "--tls-min-version",
		"--tls-min-version TLS1.3 --tls-max-version TLS1.2": "--tls-max-version",
		"--discovery-token x":                               "--initial-cluster",
		"--proxy on":                                        "--proxy is not supported",
		"--discovery http://x":                              "--initial-cluster",
		"--client-cert-auth=maybe":                          "--client-cert-auth",
		"--election-timeout 200 --heartbeat-interval 100":   "at least as 5 times",
		"--election-timeout 60000":                          "less than 50000ms",
		"--listen-client-urls http://127.0.0.1:2379":        "--advertise-client-urls is required",
		"--listen-peer-urls https://127.0.0.1:2380":         "--peer-cert-file",
		"--listen-client-urls https://127.0.0.1:2379 --advertise-client-urls https://a:2379": "--cert-file",
		"--listen-peer-urls tcp://127.0.0.1:2380":                                            "http, https, unix, or unixs",
		"--initial-cluster b=http://127.0.0.1:2380":                                          "couldn't find local name",
		"--initial-cluster default=http://127.0.0.1:1":                                       "missing from --initial-advertise-peer-urls",
		"--initial-cluster-state old":                                                        "new or existing",
		"--auto-compaction-retention soon":                                                   "duration or a number of hours",
		"--auto-compaction-mode size":                                                        "periodic or revision",
		"--cipher-suites ROT13":                                                              "unexpected TLS cipher suite",
		"--log-level loud":                                                                   "--log-level",
		"--cert-file c":                                                                      "must both be given",
		"--config-file /no/such/file":                                                        "no such file",
	} {
		if _, err := Parse(strings.Fields(line), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", line, err, want)
		}
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.yml")
	text := `
name: n1
data-dir: /data
enable-v2: false
cipher-suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]
listen-client-urls: https://127.0.0.1:2379
advertise-client-urls: https://127.0.0.1:2379
client-transport-security:
  cert-file: c.pem
  key-file: k.pem
  client-cert-auth: true
  trusted-ca-file: ca.pem
peer-transport-security:
  auto-tls: true
proxy: 'off'
log-outputs: [stderr]
discovery:
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := parse(t, "--name other --config-file "+path)
	if c.Name != "n1" || c.DataDir != "/data" || c.V2 || len(c.ClientTLS.Ciphers) != 2 || !c.ClientTLS.ClientAuth || !c.PeerTLS.Auto ||
		!strings.Contains(strings.Join(c.Warnings, "\n"), "are ignored") {
		t.Errorf("%+v", c)
	}
	for text, want := range map[string]string{
		"name: a\nnaem: b":                        `line 2: unknown key "naem"`,
		"client-transport-security: {keyfile: x}": `unknown key "keyfile"`,
		"name: {a: b}":                            "expected text",
		"[1]":                                     "expected keys",
		"a: [":                                    "yaml",
	} {
		if _, err := parseFile([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("name: a\npeer-transport-security: {auto-tls: true}"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseFile(b) })
}

func FuzzParse(f *testing.F) {
	f.Add("--initial-cluster default=http://localhost:2380 --auto-compaction-retention 1h")
	f.Fuzz(func(t *testing.T, line string) {
		if strings.Contains(line, "config-file") {
			t.Skip("it may name any file of this machine")
		}
		_, _ = Parse(strings.Fields(line), nil)
	})
}
