package postgres

import "fmt"

// ForkPoint is the last position that two histories share, and the timeline that it is on.
type ForkPoint struct {
	Timeline Timeline
	LSN      LSN // MaxLSN when the two never part
}

// Fork is where a and b part. It compares the content: timelines of one number that began at different positions are different
// timelines. What no comparison can see is two promotions at the very same position to the same number; those the term of the
// leader tells apart.
func Fork(a, b History) (ForkPoint, error) {
	as, bs := a.Stretches(), b.Stretches()
	var fork ForkPoint
	for i := 0; i < len(as) && i < len(bs); i++ {
		if as[i].Timeline != bs[i].Timeline || as[i].Begin != bs[i].Begin {
			break
		}
		fork = ForkPoint{Timeline: as[i].Timeline, LSN: min(as[i].End, bs[i].End)}
		if as[i].End != bs[i].End {
			break
		}
	}
	if fork.Timeline == 0 {
		return ForkPoint{}, fmt.Errorf("timelines %d and %d: %w", a.Timeline, b.Timeline, ErrNoCommonTimeline)
	}
	return fork, nil
}

// Divergence says whether a copy of the cluster can follow another one.
type Divergence struct {
	Fork ForkPoint
	// Diverged is true when the copy holds log that the other history does not: it must be rewound or cloned again.
	Diverged bool
	// Bytes is how much log the copy holds behind the fork point, 0 when it has not diverged.
	Bytes int64
}

// Diverge compares a copy with history local, whose log ends at end, to the history that it shall follow. It can be followed
// when all of its log lies before the point where the two part.
func Diverge(local History, end LSN, upstream History) (Divergence, error) {
	fork, err := Fork(local, upstream)
	if err != nil {
		return Divergence{}, err
	}
	d := Divergence{Fork: fork, Diverged: end > fork.LSN}
	if d.Diverged {
		d.Bytes = end.Sub(fork.LSN)
	}
	return d, nil
}

// Lost are the stretches of local's log that lie behind the fork and before end: what following the other history gives up.
func Lost(local History, fork ForkPoint, end LSN) []Stretch {
	var out []Stretch
	for _, s := range local.Stretches() {
		s.Begin, s.End = max(s.Begin, fork.LSN), min(s.End, end)
		if s.Begin < s.End {
			out = append(out, s)
		}
	}
	return out
}
