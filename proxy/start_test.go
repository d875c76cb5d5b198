package proxy

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseStart(t *testing.T) {
	for name, c := range map[string]struct {
		in   []byte
		kind startKind
		key  string
		bad  bool
	}{
		"startup":           {in: startup("ann", "shop"), kind: startSession},
		"startup, no user":  {in: packet(3<<16, []byte{0}), kind: startSession},
		"protocol 3.2":      {in: packet(3<<16|2, []byte("user\x00ann\x00\x00")), kind: startSession},
		"protocol 2":        {in: packet(2<<16, make([]byte, 288)), kind: startSession},
		"ssl":               {in: packet(codeSSL, nil), kind: startSSL},
		"gss":               {in: packet(codeGSS, nil), kind: startGSS},
		"cancel":            {in: packet(codeCancel, []byte("pid.secr")), kind: startCancel, key: "pid.secr"},
		"cancel, long key":  {in: packet(codeCancel, bytes.Repeat([]byte{9}, 4+256)), kind: startCancel, key: strings.Repeat("\x09", 260)},
		"direct tls":        {in: []byte{0x16, 3, 1, 2, 0}, kind: startDirectTLS},
		"http":              {in: []byte("GET / HTTP/1.1\r\n"), bad: true},
		"http, two bytes":   {in: []byte("GE"), bad: true},
		"ssh":               {in: []byte("SSH-2.0-"), bad: true},
		"zeroes":            {in: make([]byte, 8), bad: true},
		"too long":          {in: packet(3<<16, make([]byte, 10000)), bad: true},
		"cancel, too long":  {in: packet(codeCancel, make([]byte, 4+257)), bad: true},
		"cancel, too short": {in: packet(codeCancel, make([]byte, 7)), bad: true},
		"ssl with a body":   {in: packet(codeSSL, []byte{1}), bad: true},
		"no terminator":     {in: packet(3<<16, []byte("user\x00ann")), bad: true},
		"no value":          {in: packet(3<<16, []byte("user\x00")), bad: true},
		"tls 1.9 in name":   {in: []byte{0x16, 9, 1, 2, 0}, bad: true},
		"tls, huge record":  {in: []byte{0x16, 3, 1, 0xff, 0xff}, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, need, err := parseStart(c.in)
			if c.bad {
				if !errors.Is(err, errNotPostgres) {
					t.Fatalf("kind %d, need %d, error %v; want it refused", s.kind, need, err)
				}
				return
			}
			if err != nil || need != 0 || s.kind != c.kind || s.key != c.key || !bytes.Equal(s.raw, c.in) {
				t.Fatalf("kind %d, need %d, key %q, error %v", s.kind, need, s.key, err)
			}
		})
	}
}

func TestStartupParameters(t *testing.T) {
	s, _, err := parseStart(packet(3<<16, []byte("user\x00ann\x00application_name\x00cron\x00\x00")))
	if err != nil || s.user != "ann" || s.database != "ann" || s.app != "cron" {
		t.Fatalf("%+v, %v; the database defaults to the user", s, err)
	}
}

// FuzzParseStart checks that the parser never asks for what it will not take, and says the same however the bytes are split.
func FuzzParseStart(f *testing.F) {
	for _, p := range [][]byte{startup("ann", "shop"), packet(codeSSL, nil), packet(codeCancel, make([]byte, 8)), {0x16, 3, 1, 0, 9}} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		whole, need, err := parseStart(p)
		if need > maxStartupPacket || need > 0 && need <= len(p) {
			t.Fatalf("asks for %d bytes, has %d", need, len(p))
		}
		if err != nil || need > 0 {
			return
		}
		for n := range len(whole.raw) {
			part, need, err := parseStart(p[:n])
			if err != nil {
				t.Fatalf("the first %d bytes of a good packet: %v", n, err)
			}
			if need == 0 && part.kind != startDirectTLS || need > max(8, len(whole.raw)) {
				t.Fatalf("the first %d of %d bytes: need %d", n, len(whole.raw), need)
			}
		}
	})
}
