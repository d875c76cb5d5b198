package syncset

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"quorate/pgctl/postgres"
)

// TestScripts runs the files of testdata. A command is next, initial or promote; its arguments are the settings, and its lines the
// rest of the state:
//
//	next mode=on count=2 since=100
//	names FIRST 1 (b)          in effect
//	asked FIRST 2 (b,c)        only where it differs
//	key a 0 b                  leader, quorum, voters; without the line there is no key
//	b streaming sync flush=100 lag=0 prio=1
//	c alive                    alive is implied by streaming
//	----
//	the step
//	the reason
//
// The leader is a. For promote, a line of a member is its position: b 1:100.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "promote" {
				ok, why := CanPromote(scriptElection(t, d))
				return fmt.Sprintf("%t: %s\n", ok, why)
			}
			s := scriptState(t, d)
			if d.Cmd == "initial" {
				to, why := InitialNames(s)
				return fmt.Sprintf("names '%s'\nkey %v\n%s\n", to.Names, to.Key, why)
			}
			step, why := Next(s)
			if step == nil {
				return "nothing to do\n" + why + "\n"
			}
			return fmt.Sprintf("%s\n%s\n", step, why)
		})
	})
}

func scriptState(t *testing.T, d *datadriven.TestData) State {
	s := State{Leader: "a", NodeCount: 1, MaxLag: -1, Strict: d.HasArg("strict"), KeyInDoubt: d.HasArg("doubt")}
	s.Mode = scriptMode(t, d)
	var since uint64
	scriptArg(t, d, "count", &s.NodeCount)
	scriptArg(t, d, "maxlag", &s.MaxLag)
	scriptArg(t, d, "since", &since)
	s.Since = postgres.LSN(since)
	asked := false
	for line := range strings.Lines(d.Input) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "names":
			s.InEffect = scriptNames(t, d, rest)
		case "asked":
			s.Asked, asked = scriptNames(t, d, rest), true
		case "configured":
			s.Configured = scriptNames(t, d, rest)
		case "key":
			s.Key, s.KeyExists = scriptKey(rest), true
		default:
			s.Standbys = append(s.Standbys, scriptStandby(t, d, word, rest))
		}
	}
	if !asked {
		s.Asked = s.InEffect
	}
	return s
}

func scriptArg(t *testing.T, d *datadriven.TestData, key string, into any) {
	if d.HasArg(key) {
		d.ScanArgs(t, key, into)
	}
}

func scriptMode(t *testing.T, d *datadriven.TestData) Mode {
	var text string
	scriptArg(t, d, "mode", &text)
	return map[string]Mode{"on": On, "quorum": Quorum}[text]
}

func scriptNames(t *testing.T, d *datadriven.TestData, text string) Names {
	n, err := postgres.ParseSyncNames(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return n
}

func scriptKey(text string) Key {
	f := strings.Fields(text)
	k := Key{Leader: f[0]}
	k.Quorum, _ = strconv.Atoi(f[1])
	if len(f) > 2 {
		k.Voters = strings.Split(f[2], ",")
	}
	return k
}

func scriptStandby(t *testing.T, d *datadriven.TestData, name, text string) Standby {
	s := Standby{Name: name, SyncPriority: 1}
	for _, w := range strings.Fields(text) {
		key, value, _ := strings.Cut(w, "=")
		n, _ := strconv.ParseUint(value, 10, 64)
		switch key {
		case "streaming":
			s.Streaming, s.Alive, s.SyncState = true, true, "async"
		case "async", "potential", "sync", "quorum":
			s.SyncState = key
		case "alive":
			s.Alive = true
		case "dead":
			s.Alive = false
		case "givenup":
			s.GivenUp = true
		case "quiet":
			s.Quiet = true
		case "flush":
			s.FlushLSN = postgres.LSN(n)
		case "lag":
			s.Lag = n
		case "prio":
			s.SyncPriority = int(n)
		default:
			d.Fatalf(t, "standby %s: unknown word %q", name, w)
		}
	}
	return s
}

func scriptElection(t *testing.T, d *datadriven.TestData) Election {
	e := Election{Mode: scriptMode(t, d), Reached: map[string]Position{}}
	for line := range strings.Lines(d.Input) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "key":
			e.Key, e.KeyExists = scriptKey(rest), true
		case "candidate":
			name, at, _ := strings.Cut(rest, " ")
			e.Candidate, e.At = name, scriptPosition(at)
		default:
			e.Reached[word] = scriptPosition(rest)
		}
	}
	return e
}

func scriptPosition(text string) Position {
	tl, lsn, _ := strings.Cut(text, ":")
	t, _ := strconv.ParseUint(tl, 10, 32)
	l, _ := strconv.ParseUint(lsn, 10, 64)
	return Position{postgres.Timeline(t), postgres.LSN(l)}
}
