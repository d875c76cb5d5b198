package dcsclient

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"
)

// A key lies in the range of a prefix exactly when it begins with it.
func TestPrefixRange(t *testing.T) {
	bytes := rapid.StringOfN(rapid.RuneFrom([]rune("\x00a\u00ff")), 0, 4, -1)
	raw := rapid.Custom(func(t *rapid.T) string {
		var b []byte
		for _, r := range bytes.Draw(t, "runes") {
			b = append(b, byte(r)) // one byte each, 0xff among them
		}
		return string(b)
	})
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := raw.Draw(t, "prefix"), raw.Draw(t, "key")
		if key == "" {
			return // no key is empty
		}
		start, end := string(prefixStart(prefix)), string(prefixEnd(prefix))
		in := start <= key && (end == "\x00" || key < end)
		if in != strings.HasPrefix(key, prefix) {
			t.Fatalf("prefix %q is [%q, %q), which says %v of %q", prefix, start, end, in, key)
		}
	})
}

func TestWholeSeconds(t *testing.T) {
	for ttl, want := range map[time.Duration]int64{
		0: 1, time.Millisecond: 1, time.Second: 1, time.Second + 1: 2, 3 * time.Second: 3, 29500 * time.Millisecond: 30,
	} {
		if got := wholeSeconds(ttl); got != want {
			t.Errorf("%v: %d, want %d", ttl, got, want)
		}
	}
}

// What callers may conclude from an error, for the statuses that stores send.
func TestKinds(t *testing.T) {
	for _, c := range []struct {
		err        error
		kind       error
		notApplied bool
	}{
		{rpctypes.ErrGRPCNoLeader, ErrUnavailable, true},
		{rpctypes.ErrGRPCNotLeader, ErrUnavailable, true},
		{rpctypes.ErrGRPCLeaderChanged, ErrUnavailable, false},
		{rpctypes.ErrGRPCTimeout, ErrUnavailable, false},
		{rpctypes.ErrGRPCTimeoutDueToConnectionLost, ErrUnavailable, false},
		{rpctypes.ErrGRPCStopped, ErrUnavailable, false},
		{rpctypes.ErrGRPCNoSpace, ErrUnavailable, false},
		{rpctypes.ErrGRPCRequestTooManyRequests, ErrUnavailable, true},
		{rpctypes.ErrGRPCNotSupportedForLearner, ErrUnavailable, true},
		{rpctypes.ErrGRPCLeaseNotFound, ErrLeaseNotFound, true},
		{rpctypes.ErrGRPCCompacted, ErrCompacted, true},
		{rpctypes.ErrGRPCPermissionDenied, ErrPermission, true},
		{rpctypes.ErrGRPCInvalidAuthToken, ErrPermission, true},
		{rpctypes.ErrGRPCAuthFailed, ErrPermission, true},
		{rpctypes.ErrGRPCUserEmpty, ErrPermission, true},
		{rpctypes.ErrGRPCRequestTooLarge, ErrRejected, true},
		{rpctypes.ErrGRPCDuplicateKey, ErrRejected, true},
		{status.Error(codes.Unknown, "not a primary lessor"), ErrUnavailable, false},
		{status.Error(codes.DeadlineExceeded, "context deadline exceeded"), ErrUnavailable, false},
		{status.Error(codes.Internal, "stream terminated by RST_STREAM"), ErrUnavailable, false},
	} {
		for _, err := range []error{c.err, fmt.Errorf("host: %w", c.err), classify(c.err)} {
			if got := kindOf(err); got != c.kind {
				t.Errorf("%v: %v, want %v", err, got, c.kind)
			}
			if got := certainlyNotApplied(err); got != c.notApplied {
				t.Errorf("%v: certainly not applied is %v", err, got)
			}
		}
	}
}

func TestTryOrder(t *testing.T) {
	a, b, c, l := &endpoint{name: "a"}, &endpoint{name: "b"}, &endpoint{name: "c"}, &endpoint{name: "l", local: true}
	for _, x := range []struct {
		hosts     []*endpoint
		preferred *endpoint
		down      []*endpoint
		want      string
	}{
		{[]*endpoint{a, b, c}, nil, nil, "abc"},
		{[]*endpoint{a, b, c}, b, nil, "bca"},
		{[]*endpoint{a, b, c}, b, []*endpoint{b}, "cab"},
		{[]*endpoint{a, b, c}, a, []*endpoint{a, b, c}, "abc"},
		{[]*endpoint{l, a, b}, b, nil, "lba"},
		{[]*endpoint{l, a, b}, b, []*endpoint{l}, "bal"},
		{nil, a, nil, ""},
	} {
		var got string
		for _, e := range tryOrder(x.hosts, x.preferred, func(e *endpoint) bool { return !slices.Contains(x.down, e) }) {
			got += e.name
		}
		if got != x.want {
			t.Errorf("got %s, want %s", got, x.want)
		}
	}
}

func TestHostPort(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:2379": "10.0.0.1:2379", "http://10.0.0.1:2379": "10.0.0.1:2379", "https://[::1]:2379/": "[::1]:2379", "etcd1:2379": "etcd1:2379",
	} {
		if got := hostPort(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
