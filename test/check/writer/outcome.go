package writer

import (
	"context"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/test/check"
)

// connectError marks an attempt that ended before its statement was sent.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// refusals are the errors (PostgreSQL manual, appendix A) with which a server turns a statement down before it could commit. Not among them
// are 57P01 and its like: a backend that is terminated while it waits for a synchronous standby has committed locally.
var refusals = []string{
	"25006", // read_only_sql_transaction: a standby
	"57P03", // cannot_connect_now
	"53300", // too_many_connections
	"42P01", // undefined_table
	"42501", // insufficient_privilege
	"53100", // disk_full
}

// classify says what a client may conclude from an error, and names its kind in a word or two.
func classify(err error) (check.Outcome, string) {
	if err == nil {
		return check.Acked, ""
	}
	kind := kindOf(err)
	var connect *connectError
	if errors.As(err, &connect) || pgconn.SafeToRetry(err) {
		return check.Failed, kind
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && slices.Contains(refusals, pg.Code) {
		return check.Failed, kind
	}
	return check.Unknown, kind
}

func kindOf(err error) string {
	var pg *pgconn.PgError
	var timeout net.Error
	switch {
	case errors.As(err, &pg):
		return pg.Code
	case errors.Is(err, context.Canceled):
		return "given up"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "no answer"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "unreachable"
	}
	return "closed"
}
