package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadPIDFile is a postmaster.pid that PostgreSQL has not written, or not yet to its first line's end.
var ErrBadPIDFile = errors.New("malformed postmaster.pid")

// PIDFile is the content of postmaster.pid (miscadmin.h, "LOCK_FILE_LINE"). Later lines come as the start proceeds: fields other
// than PID may be zero.
type PIDFile struct {
	PID       int
	DataDir   string
	StartTime int64 // seconds since 1970 by the wall clock of the start
	Port      int
	SocketDir string
	Listen    string // the first listen address, "*" for all
	Status    string // starting, stopping, ready, or standby: a standby that accepts no connections
}

// Ready says whether the postmaster accepts connections, be it for reads alone.
func (p PIDFile) Ready() bool { return p.Status == "ready" }

// ParsePIDFile reads postmaster.pid. A negative process number, which a single-user server writes, is returned as such.
func ParsePIDFile(text string) (PIDFile, error) {
	lines := strings.Split(text, "\n")
	at := func(i int) string {
		if i < len(lines) {
			return strings.TrimSpace(lines[i])
		}
		return ""
	}
	pid, err := strconv.Atoi(at(0))
	if err != nil || pid == 0 {
		return PIDFile{}, fmt.Errorf("first line %q: %w", at(0), ErrBadPIDFile)
	}
	p := PIDFile{PID: pid, DataDir: at(1), SocketDir: at(4), Listen: at(5), Status: at(7)}
	p.StartTime, _ = strconv.ParseInt(at(2), 10, 64)
	p.Port, _ = strconv.Atoi(at(3))
	return p, nil
}
