package syncset

import (
	"slices"
	"testing"

	"quorate/pgctl/postgres"
)

// mutants are planners with one fault each. They show that the search can fail, and what each rule is for.
func mutants() map[string]planner {
	blind := func(change func(*State)) planner {
		return planner{initial: InitialNames, next: func(s State) (Step, string) {
			change(&s)
			return Next(s)
		}}
	}
	wrong := func(change func(State, Step) Step) planner {
		return planner{initial: InitialNames, next: func(s State) (Step, string) {
			step, why := Next(s)
			return change(s, step), why
		}}
	}
	return map[string]planner{
		"does not wait until a standby has caught up": blind(func(s *State) {
			s.Standbys = slices.Clone(s.Standbys)
			for i := range s.Standbys {
				s.Standbys[i].FlushLSN = s.Since
			}
		}),
		"takes names that it sees for those that hold": blind(func(s *State) { s.Since = 1 }),
		"believes that names are in effect at once":    blind(func(s *State) { s.InEffect = s.Asked }),
		"forgets names that are not in effect yet":     blind(func(s *State) { s.Asked = s.InEffect }),
		"forgets a write of unknown outcome":           blind(func(s *State) { s.KeyInDoubt = false }),
		"changes the names before the key": wrong(func(s State, step Step) Step {
			if k, ok := step.(WriteKey); ok && len(k.Key.Voters) == 0 && len(s.Key.Voters) > 0 {
				return SetNames{}
			}
			return step
		}),
		"deletes the key last": wrong(func(s State, step Step) Step {
			if _, ok := step.(DeleteKey); ok && !s.InEffect.IsZero() {
				return SetNames{}
			}
			return step
		}),
		"takes the quorum for smaller than it is": wrong(func(_ State, step Step) Step {
			if k, ok := step.(WriteKey); ok && k.Key.Quorum > 0 {
				k.Key.Quorum--
				return k
			}
			return step
		}),
		"has one of two confirm in mode on": wrong(func(s State, step Step) Step {
			if n, ok := step.(SetNames); ok && n.Names.Num > 1 && n.Names.Method == postgres.SyncFirst {
				n.Names.Num--
				return n
			}
			return step
		}),
		"drops the old standby from the names at once": wrong(func(s State, step Step) Step {
			if n, ok := step.(SetNames); ok {
				return SetNames{newView(s).plan(minus(n.Names.Names, s.Key.Voters)).names}
			}
			return step
		}),
		"lowers the quorum when it takes over": {next: Next, initial: func(s State) (Takeover, string) {
			t, why := InitialNames(s)
			if t.Key != nil {
				t.Key.Quorum = 0
			}
			return t, why
		}},
		"has too few confirm after it took over": {next: Next, initial: func(s State) (Takeover, string) {
			t, why := InitialNames(s)
			t.Names.Num = min(t.Names.Num, 1)
			return t, why
		}},
		"keeps the members of the old key without asking who they are": {next: Next, initial: func(s State) (Takeover, string) {
			t, why := InitialNames(s)
			if t.Key != nil && len(t.Key.Voters) == 0 {
				t.Key.Voters = slices.DeleteFunc(set(s.Key.Voters), func(n string) bool { return n == s.Leader })
			}
			return t, why
		}},
	}
}

func TestSearchCatchesMutants(t *testing.T) {
	for name, p := range mutants() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sc := range []scope{elect3, late3, elect4} {
				if n, err := sc.search(p, nil); err != nil {
					t.Logf("caught after %d worlds: %v", n, err)
					return
				}
			}
			t.Error("this fault goes unnoticed")
		})
	}
}
