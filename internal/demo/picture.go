package demo

import (
	"fmt"
	"strings"
	"time"

	"quorate/internal/config/dynamic"
)

// stalled is the time without a commit from which the view says so.
const stalled = 300 * time.Millisecond

// picture is one frame of the view.
type picture struct {
	elapsed time.Duration
	folder  string
	connect string // how a person connects
	running bool   // the cluster has been there once
	rows    []row
	via     string // whose router the client uses; "" it has no session
	reading reading
	events  []event
}

type row struct {
	name, addr string
	condition  condition
	member
}

// render draws the frame as lines of a terminal, each at most so wide without its colours.
func (p picture) render(width, height int) []string {
	lines := []string{
		bold(fit(fmt.Sprintf("Quorate demo: three hosts on this machine%*s", max(1, width-41), clock(p.elapsed)), width)),
		dim(fit(p.connect, width)),
		"",
		bold(fit(fmt.Sprintf("%-5s %-12s %-9s %-15s %-17s %4s %9s", "HOST", "ADDRESS", "IS", "ROLE", "POSTGRESQL", "TL", "LAG"), width)),
	}
	for _, r := range p.rows {
		lines = append(lines, r.render(width))
	}
	lines = append(lines, "", p.writes(width), p.outage(width), "")
	foot := []string{"", bold(fit(legend(), width))}
	room := max(0, height-len(lines)-len(foot))
	shown := p.events[max(0, len(p.events)-room):]
	for _, e := range shown {
		lines = append(lines, fit(e.String(), width))
	}
	for range room - len(shown) {
		lines = append(lines, "")
	}
	return append(lines, foot...)
}

func (r row) render(width int) string {
	role, state, tl, lag := r.role, r.state, "", ""
	if r.timeline > 0 {
		tl = fmt.Sprint(r.timeline)
	}
	if r.lag.Known {
		lag = dynamic.SizeText(r.lag.Bytes)
	}
	if r.condition == killed || r.condition == ended {
		role, state, tl, lag = "", "", "", ""
	}
	text := fit(fmt.Sprintf("%-5s %-12s %-9s %-15s %-17s %4s %9s", r.name, r.addr, r.condition, roleText(role), fit(state, 17), tl, lag), width)
	switch {
	case r.condition != up:
		return red(text)
	case roleText(role) == "primary":
		return green(text)
	}
	return text
}

// roleText says primary where Patroni's API says leader.
func roleText(role string) string {
	switch role {
	case "leader", "master":
		return "primary"
	case "sync_standby":
		return "sync standby"
	}
	return strings.ReplaceAll(role, "_", " ")
}

func (p picture) writes(width int) string {
	if p.reading.Acked == 0 {
		return fit("writes   none yet: the three hosts are becoming a cluster", width)
	}
	through := "no session now"
	if p.via != "" {
		through = "through the router of " + p.via
	}
	return fit(fmt.Sprintf("writes   %3d/s %s, %d acknowledged", p.reading.Rate, through, p.reading.Acked), width)
}

// outage shows the last one: the longest time without a commit since something was last done to the cluster.
func (p picture) outage(width int) string {
	if p.running && p.reading.Since > stalled {
		return red(fit(fmt.Sprintf("outage   no commit for %d ms", p.reading.Since.Milliseconds()), width))
	}
	spans := p.reading.Spans
	last := spans[len(spans)-1]
	if !p.running || last.Commits == 0 {
		return ""
	}
	return fit(fmt.Sprintf("outage   %d ms at most since: %s", last.Longest.Milliseconds(), last.After), width)
}

func legend() string {
	var b strings.Builder
	for _, a := range acts {
		fmt.Fprintf(&b, "%c %s  ", a.key, a.name)
	}
	return b.String() + "q quit"
}

// fit cuts a text to a width.
func fit(s string, width int) string {
	if r := []rune(s); len(r) > width {
		return string(r[:max(0, width-1)]) + "…"
	}
	return s
}

func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

func bold(s string) string  { return "\x1b[1m" + s + "\x1b[0m" }
func dim(s string) string   { return "\x1b[2m" + s + "\x1b[0m" }
func red(s string) string   { return "\x1b[31m" + s + "\x1b[0m" }
func green(s string) string { return "\x1b[32m" + s + "\x1b[0m" }
