package rest

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// openSSLNames are OpenSSL's names of the cipher suites that Go has (openssl ciphers -V).
var openSSLNames = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
}

// cipherSuites reads OpenSSL's cipher string as far as it names suites. Its classes and operators (HIGH, !aNULL, @STRENGTH) are passed
// over: what they shut out, Go does not offer. A string of which no suite is left is an error.
func cipherSuites(text string) ([]uint16, error) {
	var ids []uint16
	var unknown []string
	for _, name := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(": ,", r) }) {
		id, ok := openSSLNames[name]
		switch {
		case ok:
			ids = append(ids, id)
		case strings.Contains(name, "-") && !strings.HasPrefix(name, "!") && !strings.HasPrefix(name, "-"):
			unknown = append(unknown, name)
		}
	}
	if len(ids) == 0 && len(unknown) > 0 {
		return nil, fmt.Errorf("restapi.ciphers: none of %s can be used; take for example ECDHE-RSA-AES128-GCM-SHA256",
			strings.Join(unknown, ", "))
	}
	return ids, nil
}
