package check

import (
	"fmt"
	"sort"
	"strings"
)

// IDs is what a final read says about a history.
type IDs struct {
	Acked, Unknown, Failed int // attempts by outcome

	Lost       []Op     // acknowledged, and not there
	Recovered  []Op     // outcome unknown, and there: legal
	Ghosts     []Op     // certainly failed as the client was told, and there
	Phantoms   []string // there, and tried by nobody
	Duplicates []string // there more than once
}

// CheckIDs compares what was tried with what a final read found: the number of rows of each id. The read comes from the primary, after all writers
// have stopped.
func CheckIDs(ops []Op, found map[string]int) IDs {
	var r IDs
	tried := make(map[string]bool, len(ops))
	for _, op := range ops {
		tried[op.ID] = true
		there := found[op.ID] > 0
		switch op.Outcome {
		case Acked:
			r.Acked++
			if !there {
				r.Lost = append(r.Lost, op)
			}
		case Failed:
			r.Failed++
			if there {
				r.Ghosts = append(r.Ghosts, op)
			}
		default:
			r.Unknown++
			if there {
				r.Recovered = append(r.Recovered, op)
			}
		}
	}
	for id, n := range found {
		if !tried[id] {
			r.Phantoms = append(r.Phantoms, id)
		}
		if n > 1 {
			r.Duplicates = append(r.Duplicates, id)
		}
	}
	sort.Strings(r.Phantoms)
	sort.Strings(r.Duplicates)
	return r
}

// Err returns the violations as one error, or nil. Up to mayLose acknowledged commits may be lost: none in synchronous mode; in asynchronous
// mode a failover loses what had not been streamed, and the node reports how much.
func (r IDs) Err(mayLose int) error {
	var bad []string
	if len(r.Lost) > mayLose {
		bad = append(bad, fmt.Sprintf("%d acknowledged commits are lost (%d may be), the first of them %s, acknowledged by %s",
			len(r.Lost), mayLose, r.Lost[0].ID, r.Lost[0].Server))
	}
	if len(r.Ghosts) > 0 {
		bad = append(bad, fmt.Sprintf("%d refused writes are there, the first of them %s (%s)", len(r.Ghosts), r.Ghosts[0].ID, r.Ghosts[0].Detail))
	}
	if len(r.Phantoms) > 0 {
		bad = append(bad, fmt.Sprintf("%d rows that nobody wrote, the first of them %s", len(r.Phantoms), r.Phantoms[0]))
	}
	if len(r.Duplicates) > 0 {
		bad = append(bad, fmt.Sprintf("%d rows are there more than once, the first of them %s", len(r.Duplicates), r.Duplicates[0]))
	}
	if bad == nil {
		return nil
	}
	return fmt.Errorf("check: %s", strings.Join(bad, "; "))
}

// String counts what was found, for a report.
func (r IDs) String() string {
	return fmt.Sprintf("%d acknowledged (%d lost), %d unknown (%d of them there), %d refused",
		r.Acked, len(r.Lost), r.Unknown, len(r.Recovered), r.Failed)
}
