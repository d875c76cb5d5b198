package lab

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// runPrefix starts the name of every namespace, cgroup and folder that a lab makes.
const runPrefix = "qlab"

// run is the identity of one lab. A process id alone comes back after a while; together with the start time of its process it does not.
type run struct {
	pid   int    // the process that owns the lab
	start uint64 // when that process started, in clock ticks since boot (field 22 of /proc/PID/stat)
	seq   int    // counts the labs of one process
}

func newRun(seq int) (run, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return run{}, err
	}
	return run{pid: os.Getpid(), start: start, seq: seq}, nil
}

func (r run) String() string { return fmt.Sprintf("%s-%d-%d-%d", runPrefix, r.pid, r.start, r.seq) }

// parseRun reads the identity at the start of a name that a lab gave; ok is false for any other name.
func parseRun(name string) (r run, ok bool) {
	parts := strings.SplitN(name, "-", 5)
	if len(parts) < 4 || parts[0] != runPrefix {
		return run{}, false
	}
	var errs [3]error
	r.pid, errs[0] = strconv.Atoi(parts[1])
	r.start, errs[1] = strconv.ParseUint(parts[2], 10, 64)
	r.seq, errs[2] = strconv.Atoi(parts[3])
	for _, err := range errs {
		if err != nil {
			return run{}, false
		}
	}
	return r, true
}

// alive says whether the process that owns the run still exists.
func (r run) alive() bool {
	start, err := startTime(r.pid)
	return err == nil && start == r.start
}
