package candidate

import (
	"slices"
	"testing"

	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
)

// variants are the members that the products below are made of.
func variants(name string) []Member {
	var out []Member
	positions, priorities := []postgres.LSN{99, 100, 200}, []int{0, 1, 2}
	if testing.Short() {
		positions, priorities = positions[1:], priorities[:2]
	}
	for _, lsn := range positions {
		for _, tl := range []postgres.Timeline{1, 2} {
			for _, priority := range priorities {
				for _, running := range []bool{true, false} {
					m := standby(name, lsn)
					m.Priority, m.NoFailover, m.Running = priority, priority == 0, running
					if tl == 1 {
						older(&m, lsn)
					}
					out = append(out, m)
				}
			}
		}
	}
	return out
}

// clusters calls f with every combination of three members and each way in which the sync key may speak of them.
func clusters(f func(in Input, members []Member)) {
	for _, b := range variants("b") {
		for _, c := range variants("c") {
			for _, d := range variants("d") {
				for key := range 5 {
					in := input()
					in.Settings.MaxLag, in.Patient = 1000, false
					switch key {
					case 1:
						syncKey(&in, syncset.On, 0, "b")
					case 2:
						syncKey(&in, syncset.On, 0, "b", "c")
					case 3:
						syncKey(&in, syncset.Quorum, 1, "b", "c")
					case 4:
						syncKey(&in, syncset.Quorum, 1, "b", "c", "d")
					}
					f(in, []Member{b, c, d})
				}
			}
		}
	}
}

// from is the race as members[i] sees it.
func from(in Input, members []Member, i int) Input {
	in.Self = members[i]
	in.Others = slices.Concat([]Member{{Name: "a"}}, members[:i], members[i+1:])
	return in
}

// better is the order in the plainest terms.
func better(a, b Member) bool {
	if a.Timeline != b.Timeline {
		return a.Timeline > b.Timeline
	}
	return max(a.FlushLSN, a.ReplayLSN) > max(b.FlushLSN, b.ReplayLSN)
}

func able(in Input, m Member) bool {
	return m.Running && !m.NoFailover && (in.Mode != syncset.On || slices.Contains(in.Key.Voters, m.Name))
}

// TestNobodyGoesBeforeABetterOne: whoever takes the lead, no other that could have taken it has newer data.
func TestNobodyGoesBeforeABetterOne(t *testing.T) {
	clusters(func(in Input, members []Member) {
		for i, m := range members {
			v := Race(from(in, members, i))
			if !v.Go {
				continue
			}
			if !able(in, m) {
				t.Fatalf("%+v goes in mode %v, key %v", m, in.Mode, in.Key)
			}
			for _, o := range members {
				if able(in, o) && better(o, m) {
					t.Fatalf("%+v goes before %+v in mode %v, key %v", m, o, in.Mode, in.Key)
				}
			}
		}
	})
}

// TestSomebodyGoes: when all have answered and one of them could lead, one does, and nobody waits for nobody.
func TestSomebodyGoes(t *testing.T) {
	clusters(func(in Input, members []Member) {
		some, could := false, false
		for i, m := range members {
			v := Race(from(in, members, i))
			some = some || v.Go
			could = could || able(in, m) && (m.Timeline == 2 || in.Mode == syncset.On)
			if v.Reason == "" {
				t.Fatalf("no reason for %+v", members)
			}
		}
		if could && !some && !blocked(in, members) {
			t.Fatalf("nobody goes of %+v in mode %v, key %v", members, in.Mode, in.Key)
		}
	})
}

// blocked says whether too many voters are down, or hold data that nobody who can lead has: in mode quorum their votes are
// missing then, rightly.
func blocked(in Input, members []Member) bool {
	if in.Mode != syncset.Quorum {
		return false
	}
	for _, m := range members {
		if able(in, m) && in.votes(m, members) {
			return false
		}
	}
	return true
}

func (in Input) votes(m Member, members []Member) bool {
	n := 0
	for _, o := range members {
		if slices.Contains(in.Key.Voters, o.Name) && o.Running && !better(o, m) {
			n++
		}
	}
	return n > in.Key.Quorum
}

// TestElectedHasWhatAQuorumConfirmed cuts members off as well: whoever goes in mode quorum has what enough voters have to have
// confirmed it, and in mode on it is a voter.
func TestElectedHasWhatAQuorumConfirmed(t *testing.T) {
	clusters(func(in Input, members []Member) {
		if in.Mode == syncset.Off {
			return
		}
		for cut := range 1 << len(members) {
			seen := slices.Clone(members)
			for i := range seen {
				seen[i].Reachable = cut>>i&1 == 0
			}
			for i, m := range seen {
				if Race(from(in, seen, i)).Go && !hasConfirmed(in, m, members) {
					t.Fatalf("%+v goes and lacks what may be acknowledged: %+v, mode %v, key %v", m, seen, in.Mode, in.Key)
				}
			}
		}
	})
}

// hasConfirmed compares m with the newest position that all but a quorum of the voters have.
func hasConfirmed(in Input, m Member, members []Member) bool {
	var voters []Member
	for _, o := range members {
		if slices.Contains(in.Key.Voters, o.Name) {
			voters = append(voters, o)
		}
	}
	if in.Mode == syncset.On {
		return slices.ContainsFunc(voters, func(o Member) bool { return o.Name == m.Name })
	}
	slices.SortFunc(voters, func(a, b Member) int {
		switch {
		case better(a, b):
			return -1
		case better(b, a):
			return 1
		}
		return 0
	})
	return !better(voters[len(voters)-in.Key.Quorum-1], m)
}
