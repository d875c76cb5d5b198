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
	v := &view{State: s, given: given, byName: map[string]Standby{}}
	for _, st := range s.Standbys {
		v.byName[st.Name] = st
	}
	v.double = doubles(s)
	return v
}

// doubles finds the names that more than one entry bears, or that are written in more than one way: PostgreSQL compares them
// without regard to case. The name * and the placeholder are nobody's.
func doubles(s State) map[string]bool {
	out, spelling := map[string]bool{"*": true, Placeholder: true}, map[string]string{strings.ToLower(s.Leader): s.Leader}
	for _, st := range s.Standbys {
		low := strings.ToLower(st.Name)
		_, seen := spelling[low]
		out[low] = out[low] || seen
		spelling[low] = st.Name
	}
	for _, name := range append([]string{s.Key.Leader}, s.Key.Voters...) {
		low := strings.ToLower(name)
		if other, seen := spelling[low]; seen && other != name {
			out[low] = true
		}
		spelling[low] = name
	}
	return out
}

func (v *view) standby(name string) (Standby, bool) {
	s, ok := v.byName[name]
	return s, ok
}

func (v *view) clash(name string) bool { return v.double[strings.ToLower(name)] }
