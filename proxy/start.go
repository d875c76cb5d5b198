package proxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// startKind is what a client opens its connection with (PostgreSQL manual, "Message Flow" and "Message Formats").
type startKind int

const (
	startSession   startKind = iota // StartupMessage
	startSSL                        // SSLRequest
	startGSS                        // GSSENCRequest
	startCancel                     // CancelRequest
	startDirectTLS                  // a TLS ClientHello at once (PostgreSQL 17, sslnegotiation=direct)
)

// The request codes of packets without a type byte; PostgreSQL's src/include/libpq/pqcomm.h.
const (
	codeCancel = 80877102
	codeSSL    = 80877103
	codeGSS    = 80877104

	maxStartupPacket = 10000 // MAX_STARTUP_PACKET_LENGTH, ours as it is PostgreSQL's
	maxCancelKey     = 256   // protocol 3.2; before it the key has 4 bytes

	tlsHandshake = 0x16 // the record type that a ClientHello starts with
	tlsMaxRecord = 5 + 16384
)

// errNotPostgres is the cause when the first bytes cannot come from a PostgreSQL client.
var errNotPostgres = errors.New("not a PostgreSQL client")

// start is a client's first packet, or one that follows a refused encryption request.
type start struct {
	kind     startKind
	raw      []byte // the packet as it came, to be passed on untouched
	user     string // of a StartupMessage
	database string
	app      string
	key      string // of a CancelRequest: process id and secret, as in BackendKeyData
}

// parseStart reads the packet at the beginning of p. When p is too short it returns how many bytes are needed in all before
// it is worth asking again. What it returns refers to p.
func parseStart(p []byte) (s start, need int, err error) {
	if len(p) > 0 && p[0] == tlsHandshake {
		return parseTLS(p)
	}
	if len(p) < 8 {
		return start{}, 8, refuseEarly(p)
	}
	size, code := int(binary.BigEndian.Uint32(p)), binary.BigEndian.Uint32(p[4:])
	if size < 8 || size > maxStartupPacket {
		return start{}, 0, fmt.Errorf("%w: a first packet of %d bytes", errNotPostgres, uint32(size))
	}
	s, min, max := startOf(code)
	if size < min || size > max {
		return start{}, 0, fmt.Errorf("%w: code %d in a packet of %d bytes", errNotPostgres, code, size)
	}
	if len(p) < size {
		return start{}, size, nil
	}
	s.raw = p[:size]
	switch s.kind {
	case startCancel:
		s.key = string(p[8:size])
	case startSession:
		err = s.readParameters(p[8:size])
	}
	return s, 0, err
}

// refuseEarly gives up on a packet whose length cannot be right before all of its header is there.
func refuseEarly(p []byte) error {
	if len(p) > 0 && p[0] != 0 || len(p) > 1 && p[1] != 0 {
		return fmt.Errorf("%w: it begins with byte 0x%02x", errNotPostgres, p[0])
	}
	return nil
}

// startOf is the kind of packet that a code announces, and the sizes that it may have. Any code that is no request is a
// protocol version; one that we do not know is the server's to refuse, for it has the right words.
func startOf(code uint32) (s start, min, max int) {
	switch code {
	case codeCancel:
		return start{kind: startCancel}, 16, 12 + maxCancelKey
	case codeSSL:
		return start{kind: startSSL}, 8, 8
	case codeGSS:
		return start{kind: startGSS}, 8, 8
	}
	return start{kind: startSession}, 8, maxStartupPacket
}

// readParameters notes who the client says that it is. Names and values of other versions than 3 are not read.
func (s *start) readParameters(p []byte) error {
	if major := binary.BigEndian.Uint16(s.raw[4:]); major != 3 {
		return nil
	}
	for {
		name, rest, ok := bytes.Cut(p, []byte{0})
		if !ok {
			return fmt.Errorf("%w: startup parameters without an end", errNotPostgres)
		}
		if len(name) == 0 {
			break
		}
		value, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return fmt.Errorf("%w: startup parameter %q without a value", errNotPostgres, name)
		}
		s.note(string(name), string(value))
		p = rest
	}
	if s.database == "" {
		s.database = s.user // PostgreSQL's default
	}
	return nil
}

func (s *start) note(name, value string) {
	switch name {
	case "user":
		s.user = value
	case "database":
		s.database = value
	case "application_name":
		s.app = value
	}
}

// parseTLS accepts the record header of a ClientHello. The record itself stays the server's business: the router needs
// no more than to know that a server name or a user will not be visible.
func parseTLS(p []byte) (start, int, error) {
	if len(p) < 5 {
		return start{}, 5, nil
	}
	if size := 5 + int(binary.BigEndian.Uint16(p[3:])); p[1] != 3 || size > tlsMaxRecord {
		return start{}, 0, fmt.Errorf("%w: a TLS record of version %d.%d with %d bytes", errNotPostgres, p[1], p[2], size)
	}
	return start{kind: startDirectTLS, raw: p}, 0, nil
}
