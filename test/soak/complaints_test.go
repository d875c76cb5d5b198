package main

import (
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
)

const agentLog = `2026-11-27 17:00:00,123 INFO: no action. I am (pg1), the leader with the lock
2026-11-27 17:00:01,500 WARNING: Retrying (Retry(total=0)) after connection broken by '<urllib3.connection.HTTPConnection object at 0x7f01>': url: /v3/kv/range
2026-11-27 17:00:02,001 ERROR: Request to server http://10.77.0.2:2379 failed: MaxRetryError("url: /v3/kv/range (Caused by <urllib3.X object at 0x7f>)")
2026-11-27 17:00:02,002 ERROR: Unexpected exception
Traceback (most recent call last):
  File "/usr/lib/python3/dist-packages/patroni/dcs/etcd3.py", line 1, in f
    raise Unknown
patroni.dcs.etcd3.Unavailable: <Unavailable error: 'etcdserver: no leader', code: 14>
2026-11-27 17:00:03,001 ERROR: Request to server http://10.77.0.3:2379 failed: MaxRetryError("url: /v3/kv/put (Caused by <urllib3.X object at 0x80>)")
`

func TestComplaints(t *testing.T) {
	c := complaints{}
	if err := c.read(strings.NewReader(agentLog)); err != nil {
		t.Fatal(err)
	}
	counts := slices.Sorted(maps.Values(c))
	if len(c) != 4 || !slices.Equal(counts, []int{1, 1, 1, 2}) {
		t.Errorf("%d shapes, %v: %v", len(c), counts, c)
	}
	theirs := maps.Clone(c)
	if only := compare(io.Discard, theirs, c); only != nil {
		t.Errorf("alike, and yet %v", only)
	}
	delete(theirs, "patroni.dcs.etcdN.Unavailable: <Unavailable error: 'etcdserver: no leader', code: N>")
	if only := compare(io.Discard, theirs, c); only != nil {
		t.Errorf("etcd's own answer without a leader: %v", only)
	}
	c[shape(`ERROR: Request to server http://10.77.0.3:2379 failed: X('Failed to establish a new connection: [Errno 104] Connection reset by peer')`)] = 1
	if only := compare(io.Discard, theirs, c); only != nil {
		t.Errorf("a server that was killed while somebody connected: %v", only)
	}
	delete(theirs, "ERROR: Unexpected exception")
	if only := compare(io.Discard, theirs, c); !slices.Equal(only, []string{"ERROR: Unexpected exception"}) {
		t.Errorf("%v", only)
	}
}
