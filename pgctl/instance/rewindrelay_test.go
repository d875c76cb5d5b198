package instance

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/jackc/pgx/v5/pgproto3"
)

// encoded is a server's stream of messages.
func encoded(t *testing.T, all ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var b []byte
	var err error
	for _, m := range all {
		if b, err = m.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func row(values ...string) *pgproto3.DataRow {
	d := &pgproto3.DataRow{}
	for _, v := range values {
		d.Values = append(d.Values, []byte(v))
	}
	return d
}

func columns(names ...string) *pgproto3.RowDescription {
	d := &pgproto3.RowDescription{}
	for _, n := range names {
		d.Fields = append(d.Fields, pgproto3.FieldDescription{Name: []byte(n)})
	}
	return d
}

// The rows of pg_rewind's list of files, and no others, are asked about, however the bytes arrive; all else goes through as it is.
func TestFilterFileList(t *testing.T) {
	list := columns("?column?", "size", "isdir", "link_target")
	end := &pgproto3.CommandComplete{CommandTag: []byte("SELECT 2")}
	big := row(strings.Repeat("x", 1<<17), "1", "f", "")
	gone := row("pg_wal/gone", "5", "f", "")
	in := encoded(t, columns("?column?"), row("pg_wal/gone"), end,
		list, row("pg_wal/gone", "7", "f", ""), gone, row("pg_wal", "4096", "t", ""), row("base/1/2", "5", "f", ""), big, end,
		columns("path", "begin", "chunk", "more"), gone, big, end)
	want := encoded(t, columns("?column?"), row("pg_wal/gone"), end,
		list, row("pg_wal/gone", "7", "f", ""), row("pg_wal", "4096", "t", ""), row("base/1/2", "5", "f", ""), big, end,
		columns("path", "begin", "chunk", "more"), gone, big, end)
	var asked []string
	drop := func(name string, size int64) bool {
		asked = append(asked, name)
		return name == "pg_wal/gone" && size == 5
	}
	var out bytes.Buffer
	if err := filterFileList(&out, iotest.OneByteReader(bytes.NewReader(in)), drop); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), want) {
		t.Errorf("%d bytes have come through, want %d: %q", out.Len(), len(want), out.Bytes()[:min(out.Len(), 400)])
	}
	if want := []string{"pg_wal/gone", "pg_wal/gone", "pg_wal", "base/1/2"}; !slices.Equal(asked, want) {
		t.Errorf("asked about %q, want %q", asked, want)
	}
}

// Whatever a source sends: an error or an end, and what is no list goes through.
func FuzzFilterFileList(f *testing.F) {
	f.Add([]byte("T\x00\x00\x00\x06\x00\x00"))
	f.Add([]byte("D\x00\x00\x00\x04"))
	f.Add([]byte("Z\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		err := filterFileList(&out, bytes.NewReader(in), func(string, int64) bool { return rand.IntN(2) == 0 })
		if err == nil && out.Len() > len(in) {
			t.Errorf("%d bytes of %d", out.Len(), len(in))
		}
	})
}
