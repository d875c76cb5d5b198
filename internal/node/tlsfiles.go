package node

import (
	"crypto/x509"
	"os"
)

// certPool reads a file of certificates; nil, which means the system's, when there is none.
func certPool(path string) *x509.CertPool {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return x509.NewCertPool() // nobody is trusted rather than everybody
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

func firstSet(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}
