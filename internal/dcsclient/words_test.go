package dcsclient_test

import (
	"errors"
	"testing"

	"quorate/internal/dcsclient"
)

func TestWords(t *testing.T) {
	for given, want := range map[string]string{
		"the store is unavailable: http://10.0.0.1:2379: rpc error: code = DeadlineExceeded desc = context deadline exceeded\nhttp://10.0.0.2:2379: rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: dial tcp 10.0.0.2:2379: connect: connection refused\"": "the store is unavailable: http://10.0.0.1:2379: no answer in time; http://10.0.0.2:2379: connection refused",
		"in-process: rpc error: code = Unavailable desc = etcdserver: no leader":                                                                                                       "in-process: etcdserver: no leader",
		"rpc error: code = Unavailable desc = error reading from server: EOF":                                                                                                          "error reading from server: EOF",
		"rpc error: code = Unavailable desc = connection error: desc = \"transport: authentication handshake failed: tls: first record does not look like a TLS handshake\"":           "authentication handshake failed: tls: first record does not look like a TLS handshake",
		"rpc error: code = Unavailable desc = connection error: desc = \"error reading server preface: raw-read tcp 10.0.0.1:46766->10.0.0.2:2379: use of closed network connection\"": "use of closed network connection",
		"nothing of gRPC": "nothing of gRPC",
	} {
		if got := dcsclient.Words(errors.New(given)); got != want {
			t.Errorf("%q\nis said as %q\nwant       %q", given, got, want)
		}
	}
}
