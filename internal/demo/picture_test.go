package demo

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"quorate/api/client"
)

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

func sample() picture {
	p := picture{
		elapsed: 65 * time.Second, connect: "PGPASSWORD=x psql -h 127.83.1.2 -p 5000 -U postgres", running: true, via: "n2",
		rows: []row{
			{"n1", "127.83.1.1", up, member{role: "leader", state: "running", timeline: 3}},
			{"n2", "127.83.1.2", up, member{role: "sync_standby", state: "streaming", timeline: 3, lag: client.Lag{Bytes: 2048, Known: true}}},
			{"n3", "127.83.1.3", killed, member{role: "replica", state: "streaming", timeline: 2}},
		},
		reading: reading{Acked: 1234, Rate: 97, Spans: []Gap{{After: "the start"}, {After: "kill -9 of everything on n3", Longest: 3210 * time.Millisecond, Commits: 100}}},
	}
	for range 40 {
		p.events = append(p.events, event{12 * time.Second, "n2", "something happened, " + strings.Repeat("and more ", 12)})
	}
	return p
}

func TestPictureFitsTheTerminal(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {60, 12}, {200, 60}, {20, 5}} {
		lines := sample().render(size[0], size[1])
		if size[1] >= 15 && len(lines) != size[1] {
			t.Errorf("%v: %d lines", size, len(lines))
		}
		for i, l := range lines {
			if n := utf8.RuneCountInString(colours.ReplaceAllString(l, "")); n > size[0] {
				t.Errorf("%v: line %d is %d wide: %s", size, i, n, l)
			}
		}
	}
}

func TestPictureShowsWhatIsKnown(t *testing.T) {
	text := colours.ReplaceAllString(strings.Join(sample().render(80, 24), "\n"), "")
	for _, want := range []string{
		"1:05", "n1    127.83.1.1   up        primary         running              3",
		"n2    127.83.1.2   up        sync standby    streaming            3      2 kB",
		"97/s through the router of n2, 1234 acknowledged", "3210 ms at most since: kill -9 of everything on n3", "q quit",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if dead := regexp.MustCompile(`(?m)^n3 .*$`).FindString(text); strings.Contains(dead, "streaming") {
		t.Errorf("a killed host is shown by what others remember of it: %s", dead)
	}
	p := sample()
	p.reading.Since = 1500 * time.Millisecond
	if text := strings.Join(p.render(80, 24), "\n"); !strings.Contains(text, "no commit for 1500 ms") {
		t.Errorf("an outage is not shown while it lasts:\n%s", text)
	}
}

func TestLegendNamesEveryKeyAndFits(t *testing.T) {
	if n := len(legend()); n > 80 {
		t.Errorf("%d characters: %s", n, legend())
	}
}
