package syncset

import "strings"

// view is a State with its lists in normal form: a key that is not there, or is of another leader, has no voters.
type view struct {
	State
	given  State // as the caller gave it: in a list of the user's own the order counts
	byName map[string]Standby
	double map[string]bool // names in lower case that more than one entry bears
}

func newView(s State) *view {
	given := s
	s.NodeCount = max(s.NodeCount, 1)
	s.InEffect, s.Asked = normalNames(s.InEffect), normalNames(s.Asked)
	s.Key = normalKey(s.Key)
	if !s.KeyExists {
		s.Key = Key{}
	}
	v := &view{State: s, given: given, byName: map[string]Standby{}, double: map[string]bool{}}
	seen := map[string]bool{strings.ToLower(s.Leader): true}
	for _, st := range s.Standbys {
		// PostgreSQL compares the names without regard to case.
		low := strings.ToLower(st.Name)
		v.double[low] = seen[low]
		seen[low] = true
		v.byName[st.Name] = st
	}
	return v
}

func (v *view) standby(name string) (Standby, bool) {
	s, ok := v.byName[name]
	return s, ok
}

func (v *view) clash(name string) bool { return v.double[strings.ToLower(name)] }
