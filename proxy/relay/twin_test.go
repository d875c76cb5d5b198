package relay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// twin does what the relay does in the naive way: two goroutines that copy.
func twin(client, server *net.TCPConn) {
	copyHalf := func(dst, src *net.TCPConn) {
		if _, err := io.Copy(struct{ io.Writer }{dst}, struct{ io.Reader }{src}); err != nil {
			_ = client.SetLinger(0)
			_ = errors.Join(client.Close(), server.Close())
			return
		}
		_ = dst.CloseWrite()
	}
	var both sync.WaitGroup
	both.Go(func() { copyHalf(server, client) })
	both.Go(func() { copyHalf(client, server) })
	both.Wait()
	_ = errors.Join(client.Close(), server.Close())
}

// ending is how a peer leaves.
type ending int

const (
	halfClose ending = iota // and it goes on reading
	reset
)

// play lets one side say what and then end, after the other side has said before; it returns what the other side heard, and how that ended.
func play(t *testing.T, talker, other *net.TCPConn, before, what []byte, how ending) (heard []byte, clean bool, answered []byte) {
	t.Helper()
	say(t, other, string(before))
	hear(t, talker, string(before))
	say(t, talker, string(what))
	got := make([]byte, len(what))
	if how == reset { // a reset may overtake what is under way; what has been heard before stays heard
		if _, err := io.ReadFull(other, got); err != nil {
			t.Fatal(err)
		}
		_ = talker.SetLinger(0)
		_ = talker.Close()
		_, err := io.Copy(io.Discard, other)
		return got, err == nil, nil
	}
	_ = talker.CloseWrite()
	heard, err := io.ReadAll(other)
	clean = err == nil
	say(t, other, string(before)) // the other half is open
	_ = other.CloseWrite()
	answered, err = io.ReadAll(talker)
	return heard, clean && err == nil, answered
}

// twins plays one script through the relay and through its twin, and compares.
func twins(t *testing.T, e *Engine, serverTalks bool, before, what []byte, how ending) {
	t.Helper()
	type outcome struct {
		heard, answered []byte
		clean           bool
	}
	var got [2]outcome
	for i := range got {
		client, a := pair(t)
		server, b := pair(t)
		done := make(chan struct{})
		if i == 0 {
			w := newWatcher()
			start(t, e, &Flow{}, w, a, b)
			go func() { <-w.silent; <-w.closed; close(done) }()
		} else {
			near, far := tcpOf(t, a), tcpOf(t, b)
			go func() { twin(near, far); close(done) }()
		}
		talker, other := client, server
		if serverTalks {
			talker, other = server, client
		}
		o := &got[i]
		o.heard, o.clean, o.answered = play(t, talker, other, before, what, how)
		_ = errors.Join(client.Close(), server.Close())
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal("it never ended")
		}
	}
	if !bytes.Equal(got[0].heard, got[1].heard) || !bytes.Equal(got[0].answered, got[1].answered) {
		t.Fatalf("the relay passed %d and %d bytes, its twin %d and %d", len(got[0].heard), len(got[0].answered), len(got[1].heard), len(got[1].answered))
	}
	// A server that is lost may look to the client like one that has gone, but never the other way round, and a clean end stays one.
	if got[1].clean && !got[0].clean {
		t.Fatal("the relay made a loss of a clean end")
	}
	if how == reset && got[0].clean && serverTalks {
		t.Fatal("a server that was lost looks to the client like one that has ended in order")
	}
}

// tcpOf gives a socket to package net.
func tcpOf(t *testing.T, fd int) *net.TCPConn {
	t.Helper()
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	c, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// The relay and two goroutines that copy do the same, whatever the byte after which a side ends or is lost.
func TestTwinAtEveryByte(t *testing.T) {
	e := newEngine(t, Options{Linger: time.Second})
	script := []byte("Q\x00\x00\x00\x0dSELECT 1\x00X\x00\x00\x00\x04")
	for at := range len(script) + 1 {
		for _, serverTalks := range []bool{false, true} {
			for _, how := range []ending{halfClose, reset} {
				twins(t, e, serverTalks, []byte("hello"), script[:at], how)
			}
		}
	}
}

func FuzzTwin(f *testing.F) {
	f.Add([]byte("before"), []byte("what"), false, false)
	f.Add([]byte{}, bytes.Repeat([]byte{1}, 70<<10), true, true)
	f.Fuzz(func(t *testing.T, before, what []byte, serverTalks, lost bool) {
		e := newEngine(t, Options{Linger: time.Second})
		how := halfClose
		if lost {
			how = reset
		}
		twins(t, e, serverTalks, before, what, how)
	})
}
