package main

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// complaints counts the warnings and errors of agents, and the exceptions that they caught, by their shape.
type complaints map[string]int

var (
	leveled   = regexp.MustCompile(`^\d{4}-\d\d-\d\d [\d:,]+ (WARNING|ERROR|CRITICAL): (.*)`)
	otherLine = regexp.MustCompile(`^\d{4}-\d\d-\d\d [\d:,]+ `)
	exception = regexp.MustCompile(`^[A-Za-z_][\w.]*(Error|Exception|Failed|Timeout|Unavailable|NotFound|Closed|Unreachable)\b.*`)

	// What differs between two complaints of one shape.
	objects = regexp.MustCompile(`<[\w.]+ object at 0x[0-9a-f]+>`)
	paths   = regexp.MustCompile(`url: \S+`)
	numbers = regexp.MustCompile(`\b[0-9a-f]{8,}\b|\d+`)
)

// read adds the complaints of one agent's log.
func (c complaints) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	within := false // an exception with its stack
	for lines.Scan() {
		line := lines.Text()
		if m := leveled.FindStringSubmatch(line); m != nil {
			c[shape(m[1]+": "+m[2])]++
		}
		switch {
		case otherLine.MatchString(line):
			within = false
		case strings.HasPrefix(line, "Traceback "):
			within = true
		case within && exception.MatchString(line):
			c[shape(line)]++
		}
	}
	return lines.Err()
}

// shape leaves out what differs from time to time and from host to host.
func shape(line string) string {
	line = objects.ReplaceAllString(line, "<object>")
	line = paths.ReplaceAllString(line, "url")
	return numbers.ReplaceAllString(line, "N")
}

// election is what an etcd answers too while it has no leader (rpctypes of etcd's api module); which of these one hears is a matter of moments: an etcd
// lets more of its clients wait.
var election = regexp.MustCompile(`Unavailable error: 'etcdserver: (no leader|leader changed|request timed out[^']*)'`)

// killed is the kernel's word, not the server's, when the server is killed while somebody is connecting; a moment later it is "refused".
var killed = regexp.MustCompile(`Failed to establish a new connection: \[Errno N\] Connection reset by peer`)

// compare lists the shapes of both, and returns those that ours alone has.
func compare(w io.Writer, theirs, ours complaints) (only []string) {
	var all []string
	for s := range ours {
		all = append(all, s)
		if theirs[s] == 0 && !election.MatchString(s) && !killed.MatchString(s) {
			only = append(only, s)
		}
	}
	for s := range theirs {
		if ours[s] == 0 {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	slices.Sort(only)
	fmt.Fprintf(w, "%6s %6s  complaint\n", "etcd", "ours")
	for _, s := range all {
		fmt.Fprintf(w, "%6d %6d  %.180s\n", theirs[s], ours[s], s)
	}
	return only
}
