package proxy

import (
	"fmt"
	"net"
	"net/netip"
	"time"
)

// startReader reads packets without a type byte off a client's connection, whatever their split. It may have read more than it
// has returned; rest is what must be passed on before anything else that comes.
type startReader struct {
	conn net.Conn
	buf  []byte // read and not yet returned
}

// firstRead is room for the first packet of nearly every client.
const firstRead = 1 << 10

// next returns the next packet. All of it must arrive within d. What it returns stays valid.
func (in *startReader) next(d time.Duration) (start, error) {
	if err := in.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return start{}, fmt.Errorf("read the first packet: %w", err)
	}
	for {
		s, need, err := parseStart(in.buf)
		if err != nil {
			return start{}, err
		}
		if need == 0 {
			in.buf = in.buf[len(s.raw):]
			return s, in.conn.SetReadDeadline(time.Time{})
		}
		if err := in.fill(need); err != nil {
			return start{}, err
		}
	}
}

// header reads a PROXY header, within d.
func (in *startReader) header(d time.Duration) (src netip.AddrPort, err error) {
	if err := in.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return src, fmt.Errorf("read the PROXY header: %w", err)
	}
	for {
		src, size, need, err := parseProxyHeader(in.buf)
		if err != nil {
			return src, err
		}
		if need == 0 {
			in.buf = in.buf[size:]
			return src, nil
		}
		if err := in.fill(need); err != nil {
			return src, err
		}
	}
}

// fill reads once, with room for need bytes in all.
func (in *startReader) fill(need int) error {
	have := len(in.buf)
	if cap(in.buf) < need || cap(in.buf) == have {
		grown := make([]byte, have, max(need, firstRead))
		copy(grown, in.buf)
		in.buf = grown
	}
	n, err := in.conn.Read(in.buf[have:cap(in.buf)])
	in.buf = in.buf[:have+n]
	if n == 0 && err != nil {
		return fmt.Errorf("read the first packet: %w", err)
	}
	return nil
}

// rest gives away what was read beyond the packets returned so far.
func (in *startReader) rest() []byte {
	rest := in.buf
	in.buf = nil
	return rest
}
