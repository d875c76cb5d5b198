//go:build bench

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"slices"
	"strconv"
	"strings"
	gosync "sync"
	"time"

	"quorate/test/lab"
)

// asker sends one request again and again, on one connection as long as the server keeps that, as a load balancer or a library with a pool does.
// It is no more than that, so that little of the machine goes to the load and not to what is measured.
type asker struct {
	dial    func(ctx context.Context) (net.Conn, error)
	request []byte

	conn net.Conn
	in   *bufio.Reader
}

func newAsker(from, to *lab.Host, path string) *asker {
	address := to.Addr(restPort)
	dial := func(ctx context.Context) (net.Conn, error) { return from.Dial(ctx, "tcp", address) }
	return &asker{dial: dial, request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, address)}
}

// restPort is that of the API on every host of a lab.
const restPort = 8008

// ask returns when the whole answer is there, whatever its code is.
func (a *asker) ask(ctx context.Context) error {
	if a.conn == nil {
		conn, err := a.dial(ctx)
		if err != nil {
			return err
		}
		a.conn, a.in = conn, bufio.NewReader(conn)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := a.conn.SetDeadline(deadline); err != nil {
			return a.fail(err)
		}
	}
	if _, err := a.conn.Write(a.request); err != nil {
		return a.fail(err)
	}
	kept, err := readAnswer(a.in)
	if err != nil || !kept {
		return a.fail(err)
	}
	return nil
}

// fail ends the connection: the next request makes a new one.
func (a *asker) fail(err error) error {
	return errors.Join(err, a.close())
}

func (a *asker) close() error {
	if a.conn == nil {
		return nil
	}
	conn := a.conn
	a.conn = nil
	return conn.Close()
}

// readAnswer reads one answer, and says whether the connection goes on after it.
func readAnswer(in *bufio.Reader) (kept bool, err error) {
	lines := textproto.NewReader(in)
	status, err := lines.ReadLine()
	if err != nil {
		return false, err
	}
	if !strings.HasPrefix(status, "HTTP/1.") {
		return false, fmt.Errorf("no answer of HTTP: %q", status)
	}
	header, err := lines.ReadMIMEHeader()
	if err != nil {
		return false, err
	}
	kept = strings.HasPrefix(status, "HTTP/1.1 ") && !strings.EqualFold(header.Get("Connection"), "close")
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	if err != nil { // the answer ends with the connection
		_, err = io.Copy(io.Discard, in)
		return false, err
	}
	_, err = io.CopyN(io.Discard, in, length)
	return kept, err
}

// replies are what askers saw.
type replies struct {
	took   []time.Duration
	failed int
	long   time.Duration
	why    error // of the first failure
}

func (l replies) perSecond() float64 { return float64(len(l.took)) / l.long.Seconds() }

// percentile of the answers; requests without one count as slower than all of those. Negative: there is no such figure.
func (l replies) percentile(p float64) time.Duration {
	sorted := slices.Sorted(slices.Values(l.took))
	i := int(p / 100 * float64(len(sorted)+l.failed))
	if i >= len(sorted) {
		return -1
	}
	return sorted[i]
}

// closedLoop asks on so many connections at once, each again as soon as it has its answer.
func closedLoop(ctx context.Context, connections int, long time.Duration, make func() *asker) replies {
	return drive(ctx, connections, long, make, func(ctx context.Context) (time.Time, bool) { return time.Now(), ctx.Err() == nil })
}

// grace is how long after the end a request may still be answered.
const grace = 10 * time.Second

// openLoop asks so many times a second, whether or not the answers come: the time of a request counts from when it was due, so that a server that
// falls behind is not spared (coordinated omission).
func openLoop(ctx context.Context, connections, perSecond int, long time.Duration, make func() *asker) replies {
	begin, pause := time.Now(), time.Second/time.Duration(perSecond)
	var mu gosync.Mutex
	next, due := 0, int(long/pause)
	return drive(ctx, connections, long+grace, make, func(ctx context.Context) (time.Time, bool) {
		mu.Lock()
		n := next
		next++
		mu.Unlock()
		at := begin.Add(time.Duration(n) * pause)
		if n >= due {
			return at, false
		}
		select {
		case <-time.After(time.Until(at)):
			return at, true
		case <-ctx.Done():
			return at, true // counts as unanswered
		}
	})
}

// drive runs the askers until there is no next request or the time is over.
func drive(ctx context.Context, connections int, long time.Duration, make func() *asker, next func(context.Context) (time.Time, bool)) replies {
	ctx, cancel := context.WithTimeout(ctx, long)
	defer cancel()
	begin := time.Now()
	parts := slices.Repeat([]replies{{}}, connections)
	var running gosync.WaitGroup
	for i := range parts {
		running.Go(func() { parts[i].run(ctx, make(), next) })
	}
	running.Wait()
	all := replies{long: time.Since(begin)}
	for _, p := range parts {
		all.took, all.failed = append(all.took, p.took...), all.failed+p.failed
		if all.why == nil {
			all.why = p.why
		}
	}
	return all
}

func (l *replies) run(ctx context.Context, a *asker, next func(context.Context) (time.Time, bool)) {
	defer a.close()
	for {
		at, more := next(ctx)
		if !more {
			return
		}
		if err := a.ask(ctx); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				<-ctx.Done() // a connection's deadline is the end of the load, and its timer may be the first to ring: asking on would only count failures
			}
			if ctx.Err() == nil || time.Since(at) > time.Second { // what the end cuts off says nothing
				l.failed++
				if l.why == nil {
					l.why = err
				}
			}
			if ctx.Err() != nil {
				continue
			}
		} else {
			l.took = append(l.took, time.Since(at))
		}
	}
}
