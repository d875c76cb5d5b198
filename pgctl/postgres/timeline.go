package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Timeline numbers one line of a cluster's history: each promotion begins a new one. Numbers alone prove nothing: two isolated
// promotions take the same number. Compare a History.
type Timeline uint32

// HistoryFile is the name of the timeline's history file below pg_wal.
func (t Timeline) HistoryFile() string { return fmt.Sprintf("%08X.history", uint32(t)) }

// Errors of this file.
var (
	// ErrBadHistory is a timeline history that PostgreSQL would not have written.
	ErrBadHistory = errors.New("malformed timeline history")
	// ErrNoCommonTimeline is returned for histories that share no beginning. They are of different clusters.
	ErrNoCommonTimeline = errors.New("the two histories have no common timeline")
)

// Switch is one line of a history: the timeline ended at End, where the next one begins.
type Switch struct {
	Timeline Timeline
	End      LSN
	Reason   string // free text, for people
}

// History is how a timeline came about, oldest ancestor first. The zero Switches mean a timeline without ancestors, which is
// timeline 1 of every cluster.
type History struct {
	Timeline Timeline
	Switches []Switch
}

// ParseHistory reads the content of t's history file (manual, section 26.3.6): a line per ancestor with its number, its end and a
// reason. Numbers grow, ends do not fall, and all are smaller than t.
func ParseHistory(t Timeline, text string) (History, error) {
	h := History{Timeline: t}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		s, err := parseSwitch(line)
		if err == nil {
			err = h.appendable(s)
		}
		if err != nil {
			return History{}, fmt.Errorf("history of timeline %d, line %d: %w", t, i+1, err)
		}
		h.Switches = append(h.Switches, s)
	}
	return h, nil
}

func parseSwitch(line string) (Switch, error) {
	f := strings.Fields(line)
	if len(f) < 2 {
		return Switch{}, fmt.Errorf("%q: %w", line, ErrBadHistory)
	}
	n, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || n == 0 {
		return Switch{}, fmt.Errorf("timeline %q: %w", f[0], ErrBadHistory)
	}
	end, err := ParseLSN(f[1])
	if err != nil {
		return Switch{}, errors.Join(ErrBadHistory, err)
	}
	return Switch{Timeline: Timeline(n), End: end, Reason: strings.Join(f[2:], " ")}, nil
}

func (h History) appendable(s Switch) error {
	if s.Timeline >= h.Timeline {
		return fmt.Errorf("ancestor %d is not older than %d: %w", s.Timeline, h.Timeline, ErrBadHistory)
	}
	if len(h.Switches) == 0 {
		return nil
	}
	last := h.Switches[len(h.Switches)-1]
	if s.Timeline <= last.Timeline || s.End < last.End {
		return fmt.Errorf("ancestor %d at %s follows %d at %s: %w", s.Timeline, s.End, last.Timeline, last.End, ErrBadHistory)
	}
	return nil
}

// String is the content of the history file.
func (h History) String() string {
	var b strings.Builder
	for i, s := range h.Switches {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%d\t%s\t%s\n", s.Timeline, s.End, s.Reason)
	}
	return b.String()
}

// Begin is where the timeline itself began: the end of its last ancestor, 0 for a timeline without one.
func (h History) Begin() LSN {
	if len(h.Switches) == 0 {
		return 0
	}
	return h.Switches[len(h.Switches)-1].End
}

// Equal compares what happened, not the words of the reasons.
func (h History) Equal(o History) bool {
	return h.Timeline == o.Timeline && slices.EqualFunc(h.Switches, o.Switches, func(a, b Switch) bool {
		return a.Timeline == b.Timeline && a.End == b.End
	})
}

// Stretch is the part of the log that one timeline contributed.
type Stretch struct {
	Timeline   Timeline
	Begin, End LSN // End is MaxLSN for the timeline that goes on
}

// Stretches are the parts of h in order, ancestors first.
func (h History) Stretches() []Stretch {
	out := make([]Stretch, 0, len(h.Switches)+1)
	var begin LSN
	for _, s := range h.Switches {
		out = append(out, Stretch{Timeline: s.Timeline, Begin: begin, End: s.End})
		begin = s.End
	}
	return append(out, Stretch{Timeline: h.Timeline, Begin: begin, End: MaxLSN})
}
