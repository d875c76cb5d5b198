package proxy

import (
	"bytes"
	"encoding/binary"
)

// The SQLSTATEs that a router speaks, from PostgreSQL's appendix "Error Codes".
const (
	stateCannotConnectNow     = "57P03" // no server to send the client to
	stateAdminShutdown        = "57P01" // the session's server is not the primary any more
	stateInvalidAuthorization = "28000" // the client must use TLS
)

// fatal is an ErrorResponse of severity FATAL, as a server sends it before it closes a connection.
func fatal(state, message, hint string) []byte {
	var b bytes.Buffer
	b.WriteString("E\x00\x00\x00\x00")
	for _, f := range []struct {
		code  byte
		value string
	}{{'S', "FATAL"}, {'V', "FATAL"}, {'C', state}, {'M', message}, {'H', hint}} {
		if f.value != "" {
			b.WriteByte(f.code)
			b.WriteString(f.value)
			b.WriteByte(0)
		}
	}
	b.WriteByte(0)
	p := b.Bytes()
	binary.BigEndian.PutUint32(p[1:], uint32(len(p)-1))
	return p
}

// sqlState reads the SQLSTATE and the message of an ErrorResponse; p is the whole message with its type byte.
func sqlState(p []byte) (state, message string) {
	if len(p) < 6 || p[0] != 'E' {
		return "", ""
	}
	for p = p[5:]; len(p) > 1 && p[0] != 0; {
		value, rest, ok := bytes.Cut(p[1:], []byte{0})
		if !ok {
			break
		}
		switch p[0] {
		case 'C':
			state = string(value)
		case 'M':
			message = string(value)
		}
		p = rest
	}
	return state, message
}
