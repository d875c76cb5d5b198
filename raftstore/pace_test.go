package raftstore

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// The library asks for a heartbeat every 50 to 100 ms; they go out at the transport's own pace, to each peer by itself, and none is put off that is due.
func TestHeartbeatsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := &transport{peers: map[raft.ServerID]*peerProgress{}, closing: make(chan struct{}), period: 125 * time.Millisecond}
		begin := time.Now()
		at := func(want time.Duration) {
			t.Helper()
			if d := time.Since(begin); d != want {
				t.Errorf("sent after %v, want %v", d, want)
			}
		}
		tr.pace("a")
		at(0)
		<-time.After(60 * time.Millisecond)
		tr.pace("a")
		at(125 * time.Millisecond)
		tr.pace("b")
		at(125 * time.Millisecond)
		<-time.After(200 * time.Millisecond)
		tr.pace("a")
		at(325 * time.Millisecond)
		tr.pace("a")
		at(450 * time.Millisecond)
		close(tr.closing)
		tr.pace("a")
		at(450 * time.Millisecond)
	})
}
