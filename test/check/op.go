package check

import (
	"fmt"

	"quorate/internal/boottime"
)

// Outcome is what a client knows of its attempt to commit.
type Outcome string

const (
	// Unknown is an attempt that may or may not have been committed: the session ended, or time ran out, between sending and answer. It is also the
	// outcome of an attempt that never ended.
	Unknown Outcome = "unknown"
	// Acked is a commit that the server acknowledged.
	Acked Outcome = "acked"
	// Failed is an attempt that was certainly not committed: nothing was sent, or the server refused the statement itself.
	Failed Outcome = "failed"
)

// Op is one attempt to commit one row of a client-made id. Both instants are of one host's clock: all writers of a history run on one machine.
type Op struct {
	ID      string           `json:"id"`               // unique over the history; an id is never tried twice
	Writer  string           `json:"writer"`           // who tried, in sequence
	Start   boottime.Instant `json:"start"`            // before anything was sent
	End     boottime.Instant `json:"end,omitempty"`    // after the outcome was known; zero when it never was
	Outcome Outcome          `json:"outcome"`          //
	Server  Server           `json:"server,omitzero"`  // who acknowledged
	Error   string           `json:"error,omitempty"`  // why not, by kind: see package writer
	Detail  string           `json:"detail,omitempty"` // the error's own words, or the warning that came with an acknowledgement
	Session int              `json:"session"`          // counts the sessions of this writer, so that a kept session can be told from a new one
}

// Server identifies who acknowledged a commit, as of the statement that was committed.
type Server struct {
	SystemID string `json:"system_id"`
	Timeline uint32 `json:"timeline"`
	Node     string `json:"node"`    // address and port of the server; empty where the writer cannot know
	Started  int64  `json:"started"` // start of its postmaster, microseconds of the server's wall clock: tells one run of an instance from the next
}

func (s Server) String() string {
	node := s.Node
	if node == "" {
		node = fmt.Sprintf("an instance started at %d", s.Started)
	}
	return fmt.Sprintf("%s on timeline %d", node, s.Timeline)
}
