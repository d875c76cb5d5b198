package fence

import (
	"errors"
	"fmt"
	"syscall"

	"quorate/internal/boottime"
)

// Version is the protocol's. An agent of another version reads it from Status and keeps to what both know; a field that one
// side does not know is ignored.
const Version = 1

// Term is a primary's term as the fence sees it: opaque but for its order within one store.
type Term struct {
	Cluster uint64 `json:"cluster"`
	Rev     int64  `json:"rev"`
}

// After says whether t is a later term than o. Of two stores none is later.
func (t Term) After(o Term) bool { return t.Cluster == o.Cluster && t.Rev > o.Rev }

// IsZero says whether there is no term.
func (t Term) IsZero() bool { return t.Rev == 0 }

func (t Term) String() string { return fmt.Sprintf("%x/%d", t.Cluster, t.Rev) }

// Spec is a postmaster to start.
type Spec struct {
	Path    string   `json:"path"`
	Args    []string `json:"args"` // without the program's name
	Env     []string `json:"env"`
	Dir     string   `json:"dir"`
	LogFile string   `json:"log_file"` // its standard output and error are appended here
	UID     int      `json:"uid"`      // -1: the fence's own
	GID     int      `json:"gid"`
	Standby bool     `json:"standby"` // it starts read-only and needs no deadline
}

// Exit tells how the postmaster ended, after every process of the instance had gone.
type Exit struct {
	PID    int            `json:"pid"`
	Code   int            `json:"code"`   // exit code; -1 when a signal ended it or when it is not known (adopted)
	Signal syscall.Signal `json:"signal"` // 0 when it exited by itself
	Fired  bool           `json:"fired"`  // the fence killed it
}

// Status is what the fence holds.
type Status struct {
	Version  int              `json:"version"`
	PID      int              `json:"pid"` // the fence's own
	DataDir  string           `json:"data_dir"`
	PM       int              `json:"pm"` // the postmaster's, 0 when there is none
	Adopted  bool             `json:"adopted"`
	Term     Term             `json:"term"` // the highest ever taken
	Armed    bool             `json:"armed"`
	Deadline boottime.Instant `json:"deadline"`
	Fired    Term             `json:"fired"`    // the last term that the fence ended by force
	Unfenced bool             `json:"unfenced"` // paused: no deadline applies
	LastExit *Exit            `json:"last_exit,omitempty"`
	Watchdog string           `json:"watchdog"` // off, active, or why not
	Locked   bool             `json:"locked"`   // its memory cannot be paged out
}

type request struct {
	ID       uint64           `json:"id"`
	Op       string           `json:"op"` // status start signal lease unfence kill adopt watchdog quit
	Spec     *Spec            `json:"spec,omitempty"`
	Signal   syscall.Signal   `json:"signal,omitempty"`
	Term     Term             `json:"term"`
	Deadline boottime.Instant `json:"deadline,omitempty"`
	PM       int              `json:"pm,omitempty"`
	Watchdog *WatchdogConfig  `json:"watchdog,omitempty"`
}

type response struct {
	ID     uint64  `json:"id"` // 0: not an answer, only news
	Error  string  `json:"error,omitempty"`
	Status *Status `json:"status,omitempty"`
	Exit   *Exit   `json:"exit,omitempty"`
}

// Errors that an agent acts on.
var (
	// ErrNoDeadline says that a postmaster that may become writable was to be started or promoted without a deadline ahead.
	ErrNoDeadline = errors.New("no lease deadline lies ahead: the fence starts and promotes nothing that could take writes")
	// ErrStaleTerm says that the term is older than one that the fence has taken, or one that has fired.
	ErrStaleTerm = errors.New("the term is over: a higher one was taken, or this one has fired")
	// ErrRunning says that processes of the instance are still there.
	ErrRunning = errors.New("the instance has processes that have not gone yet")
	// ErrLost says that the fence process is gone or does not answer.
	ErrLost = errors.New("the connection to the fence process is lost")
)

var wireErrors = []error{ErrNoDeadline, ErrStaleTerm, ErrRunning}

// fromWire gives an error that crossed the socket its identity back.
func fromWire(text string) error {
	for _, e := range wireErrors {
		if text == e.Error() {
			return e
		}
	}
	return errors.New(text)
}
