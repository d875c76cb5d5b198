package ctl

import (
	"cmp"
	"net/url"
	"strings"

	"quorate/pgctl/postgres"
)

// EncryptionKeys are the settings of a connection that go into authentication.superuser beside user and password (patroni/config_generator.py,
// _AUTH_ALLOWED_PARAMETERS_MAPPING).
var EncryptionKeys = strings.Fields("sslmode sslcert sslkey sslpassword sslrootcert sslcrl sslcrldir gssencmode channel_binding sslnegotiation")

// Setting is a setting of a connection.
type Setting = postgres.Setting

// EncryptionOf are those of them that a connection string names, else libpq's environment.
func EncryptionOf(dsn string, env func(string) string) ([]Setting, error) {
	var info postgres.Conninfo
	var err error
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		u, uerr := url.Parse(dsn)
		if err = uerr; err == nil {
			for k, v := range u.Query() {
				info = info.With(k, v[len(v)-1])
			}
		}
	} else {
		info, err = postgres.ParseConninfo(dsn)
	}
	var out []Setting
	for _, k := range EncryptionKeys {
		inEnv := "PG" + strings.ToUpper(strings.ReplaceAll(k, "_", ""))
		if v := cmp.Or(info.Get(k), env(inEnv)); v != "" {
			out = append(out, Setting{Name: k, Value: v})
		}
	}
	return out, err
}
