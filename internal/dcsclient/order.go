package dcsclient

// tryOrder is the order in which a call tries hosts: those that are connected before those that are not, and among each
// the one that served last first, then the rest in their own order, starting behind it, so that the load of a host that
// failed does not all go to the first of the list. A host that is local always leads its group: it costs no network.
func tryOrder(hosts []*endpoint, preferred *endpoint, ready func(*endpoint) bool) []*endpoint {
	start := 0
	for i, e := range hosts {
		if e == preferred {
			start = i
		}
	}
	rotated := make([]*endpoint, 0, len(hosts))
	for _, e := range hosts {
		if e.local {
			rotated = append(rotated, e)
		}
	}
	for i := range hosts {
		if e := hosts[(start+i)%len(hosts)]; !e.local {
			rotated = append(rotated, e)
		}
	}
	ordered := make([]*endpoint, 0, len(hosts))
	var rest []*endpoint
	for _, e := range rotated {
		if ready(e) {
			ordered = append(ordered, e)
		} else {
			rest = append(rest, e)
		}
	}
	return append(ordered, rest...)
}
