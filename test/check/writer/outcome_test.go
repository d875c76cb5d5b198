package writer

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/check"
)

func TestClassify(t *testing.T) {
	reset := &net.OpError{Op: "read", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	for _, tc := range []struct {
		err     error
		outcome check.Outcome
		kind    string
	}{
		{nil, check.Acked, ""},
		{&connectError{refused}, check.Failed, "refused"},
		{&connectError{&pgconn.PgError{Code: "57P03"}}, check.Failed, "57P03"},
		{&connectError{context.DeadlineExceeded}, check.Failed, "no answer"},
		{&pgconn.PgError{Code: "25006"}, check.Failed, "25006"},
		{&pgconn.PgError{Code: "57P01"}, check.Unknown, "57P01"}, // may have committed and waited for a standby
		{&pgconn.PgError{Code: "57P02"}, check.Unknown, "57P02"},
		{&pgconn.PgError{Code: "XX000"}, check.Unknown, "XX000"},
		{reset, check.Unknown, "reset"},
		{fmt.Errorf("receive: %w", io.ErrUnexpectedEOF), check.Unknown, "closed"},
		{fmt.Errorf("timeout: %w", context.DeadlineExceeded), check.Unknown, "no answer"},
		{context.Canceled, check.Unknown, "given up"},
	} {
		if outcome, kind := classify(tc.err); outcome != tc.outcome || kind != tc.kind {
			t.Errorf("%v: %s, %q; want %s, %q", tc.err, outcome, kind, tc.outcome, tc.kind)
		}
	}
}

func TestOptionsAreChecked(t *testing.T) {
	record := func(check.Op) {}
	for name, o := range map[string]Options{
		"no name":   {Record: record},
		"no record": {Name: "w"},
		"mode":      {Name: "w", Record: record, Mode: "sometimes"},
		"target":    {Name: "w", Record: record, Target: "host=a port=x"},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
