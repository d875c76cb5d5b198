// Package heard lets tests wait for what a program says, instead of asking it again and again.
package heard

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// Output keeps what is written to it. The zero value is empty; it is safe for use by several goroutines.
type Output struct {
	mu   sync.Mutex // guards what follows
	b    bytes.Buffer
	more chan struct{} // closed at the next write
}

// Write implements io.Writer.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more != nil {
		close(o.more)
		o.more = nil
	}
	return o.b.Write(p)
}

// String is all that was written.
func (o *Output) String() string {
	text, _ := o.now()
	return text
}

func (o *Output) now() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.more == nil {
		o.more = make(chan struct{})
	}
	return o.b.String(), o.more
}

// Await waits until text was written, and fails the test when it was not within a minute.
func (o *Output) Await(t testing.TB, text string) {
	t.Helper()
	end := time.After(time.Minute)
	for {
		have, more := o.now()
		if strings.Contains(have, text) {
			return
		}
		select {
		case <-more:
		case <-end:
			t.Fatalf("%q was not said:\n%s", text, have)
		}
	}
}
