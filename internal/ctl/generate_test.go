package ctl

import (
	"fmt"
	"testing"
)

// How the connection is encrypted comes from a connection string of either kind, else from libpq's environment.
func TestEncryptionOf(t *testing.T) {
	env := func(name string) string {
		return map[string]string{"PGSSLCERT": "/env.crt", "PGCHANNELBINDING": "require", "PGSSLMODE": "prefer"}[name]
	}
	for dsn, want := range map[string]string{
		"": "[{sslmode prefer} {sslcert /env.crt} {channel_binding require}]",
		"host=h sslmode=verify-full sslrootcert='/a b.crt' sslkey=/k": "[{sslmode verify-full} {sslcert /env.crt} {sslkey /k} {sslrootcert /a b.crt} {channel_binding require}]",
		"postgresql://u:p@h/db?sslmode=require&sslcrl=%2Fcrl":         "[{sslmode require} {sslcert /env.crt} {sslcrl /crl} {channel_binding require}]",
	} {
		if got, err := EncryptionOf(dsn, env); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v, and not %s", dsn, got, err, want)
		}
	}
}
