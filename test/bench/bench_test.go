//go:build bench

package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"quorate/test/check"
)

func TestEveryRowHasItsFault(t *testing.T) {
	all, err := scenarios(func() *cluster { return nil })
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{rejoinRow: true}
	for _, s := range all {
		if names[s.name] {
			t.Errorf("two rows are named %s", s.name)
		}
		names[s.name] = true
		if s.fault.Strike == nil || s.title == "" {
			t.Errorf("row %s has no fault or no title", s.name)
		}
	}
}

func TestChoose(t *testing.T) {
	all := []scenario{{name: "a"}, {name: "b", rejoin: time.Second}, {name: "c"}}
	for _, tc := range []struct {
		names []string
		want  string
	}{
		{nil, "abc"}, {[]string{"c", "a"}, "ac"}, {[]string{rejoinRow}, "b"}, {[]string{"c", rejoinRow}, "bc"},
	} {
		chosen, err := choose(all, tc.names)
		got := ""
		for _, s := range chosen {
			got += s.name
		}
		if err != nil || got != tc.want {
			t.Errorf("choose %v: %s, %v; want %s", tc.names, got, err, tc.want)
		}
	}
	if _, err := choose(all, []string{"a", "typo"}); err == nil || !strings.Contains(err.Error(), "typo") {
		t.Errorf("a row that does not exist: %v", err)
	}
}

func TestMedianIsAMeasuredFigure(t *testing.T) {
	for _, tc := range []struct {
		in   []time.Duration
		want time.Duration
	}{
		{nil, -1}, {[]time.Duration{3}, 3}, {[]time.Duration{9, 1, 5}, 5}, {[]time.Duration{9, 1, 5, 3}, 5},
	} {
		if got := median(tc.in); got != tc.want {
			t.Errorf("median of %v is %d, want %d", tc.in, got, tc.want)
		}
	}
}

func TestMet(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		in     []time.Duration
		target time.Duration
		want   string
	}{
		{nil, s, "-"}, {[]time.Duration{s}, -1, "-"}, {[]time.Duration{s, s / 2}, s, "yes"}, {[]time.Duration{s / 2, s / 3, 2 * s}, s, "median"},
		{[]time.Duration{2 * s}, s, "no"}, {[]time.Duration{grain / 2}, 0, "yes"}, {[]time.Duration{2 * grain}, 0, "no"},
	} {
		if got := met(tc.in, tc.target); got != tc.want {
			t.Errorf("%v against %v: %s, want %s", tc.in, tc.target, got, tc.want)
		}
	}
}

func TestTable(t *testing.T) {
	lost := scenario{name: "host-lost", title: "host lost", target: bound, rejoin: 5 * time.Second}
	cut := scenario{name: "cut", title: "network cut", target: bound}
	ours, theirs := product{name: "Quorate"}, product{name: "Patroni"}
	tab := newTable([]scenario{lost, cut}, []product{ours, theirs})
	outage := func(d, rejoin time.Duration) measurement {
		return measurement{outage: check.Outage{Duration: d}, rejoin: rejoin, terms: 1, lost: 2}
	}
	tab.add(ours, lost, outage(3*time.Second, time.Second))
	tab.add(ours, lost, outage(4*time.Second, 6*time.Second))
	tab.add(theirs, lost, outage(30*time.Second, 12*time.Second))
	tab.fail(ours, cut, errors.New("never came back"))
	got := tab.String()
	for _, want := range []string{
		"| host lost | 2 | 4.00 | 4.00 | 3.50 | no | 1 | 30.00 | 30.00 | 2 / 1 | 4 / 2 | 0 / 0 |\n",
		"| until it follows again after its return (host lost) | 2 | 6.00 | 6.00 | 5.00 | no | 1 | 12.00 | 12.00 | 2 / 1 | 4 / 2 | 0 / 0 |\n",
		"| network cut | 0 of 1 | - | - | 3.50 | - | 0 | - | - | 0 / 0 | 0 / 0 | 0 / 0 |\n",
		"- Quorate, cut: never came back\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	lines := strings.Split(got, "\n")
	for _, line := range lines[1:5] {
		if strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("%q has another number of columns than %q", line, lines[0])
		}
	}
}

func TestUsageOfThisProcess(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil || u.pss < 1<<20 {
		t.Errorf("this process has a PSS of %d: %v", u.pss, err)
	}
}

func TestRestInSum(t *testing.T) {
	before := usages{"etcd": {cpu: time.Second}}
	after := usages{"etcd": {cpu: 2 * time.Second, pss: 3e6}, "patroni": {cpu: time.Second, pss: 4e6}}
	got := after.lines("peer", "pg1", before, 100*time.Second)
	if want := "| peer | pg1 | etcd | 1.00 | 3.0 |\n| peer | pg1 | patroni | 1.00 | 4.0 |\n| peer | pg1 | **all** | **2.00** | **7.0** |\n"; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}

func TestReadAnswer(t *testing.T) {
	for _, tc := range []struct {
		in   string
		kept bool
		rest string
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}next", true, "next"},
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", false, ""},
		{"HTTP/1.0 503 Service Unavailable\r\nServer: x\r\n\r\n{\"state\": 1}", false, ""},
	} {
		in := bufio.NewReader(strings.NewReader(tc.in))
		kept, err := readAnswer(in)
		rest, _ := io.ReadAll(in)
		if kept != tc.kept || err != nil || string(rest) != tc.rest {
			t.Errorf("%q: kept %v, rest %q, %v", tc.in, kept, rest, err)
		}
	}
	if _, err := readAnswer(bufio.NewReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}"))); err == nil {
		t.Error("half an answer is taken for one")
	}
}

func TestPercentileCountsTheUnanswered(t *testing.T) {
	l := replies{took: []time.Duration{4, 1, 3, 2}}
	if got := l.percentile(50); got != 3 {
		t.Errorf("the median of four is %d", got)
	}
	l.failed = 4
	if got := l.percentile(50); got != -1 {
		t.Errorf("half of the requests had no answer, and the median is %d", got)
	}
}

// earlyContext tells of its deadline before it is over, as every context does for as long as its timer has not rung.
type earlyContext struct {
	context.Context
	deadline time.Time
}

func (c earlyContext) Deadline() (time.Time, bool) { return c.deadline, true }

// The end of a load is no failure of what is measured.
func TestEndOfLoadIsNoFailure(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("fine")) })}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	early := earlyContext{ctx, time.Now().Add(100 * time.Millisecond)}
	a := &asker{request: []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(context.WithoutCancel(ctx), "tcp", l.Addr().String())
	}}
	var got replies
	got.run(early, a, func(ctx context.Context) (time.Time, bool) { return time.Now(), ctx.Err() == nil })
	if len(got.took) == 0 || got.failed > 0 {
		t.Errorf("%d answers, %d failures (%v)", len(got.took), got.failed, got.why)
	}
}
