package doctor

import (
	"fmt"
	"strings"
)

// storeRules are about the members of our own store.
var storeRules = []Rule{
	{"store-quorum", "how many members the store can lose", func(f *Facts) bool { return f.OwnEtcd }, checkQuorum},
}

func checkQuorum(f *Facts) []Finding {
	c := f.Cluster
	if len(c.Store) == 0 {
		return foundingSize(f)
	}
	voters, healthy := 0, 0
	var away []string
	for _, m := range c.Store {
		if m.Learner {
			continue
		}
		voters++
		if m.Healthy {
			healthy++
		} else {
			away = append(away, m.Name)
		}
	}
	spare := healthy - (voters/2 + 1)
	where := "store"
	switch {
	case spare < 0:
		return []Finding{danger(where, fmt.Sprintf("%d of %d members answer: the store has no majority, and nobody can become primary", healthy, voters),
			"start the missing ones: "+strings.Join(away, ", "))}
	case len(away) > 0 && spare == 0:
		return []Finding{danger(where, fmt.Sprintf("%s does not answer: one more loss, and the store has no majority", strings.Join(away, ", ")),
			"start it; when its host is lost for good: quorate member remove, then let a new host join")}
	case len(away) > 0:
		return []Finding{warning(where, strings.Join(away, ", ")+" does not answer", "start it, or take it out for good: quorate member remove")}
	}
	return oddSize(voters, where)
}

// oddSize judges a store all of whose members answer.
func oddSize(voters int, where string) []Finding {
	switch {
	case voters == 1:
		return []Finding{warning(where, "the store has one member: the cluster stops with its host", "let two more hosts with the store role join")}
	case voters == 2:
		return []Finding{danger(where, "the store has two members: the loss of either stops it, so that it is worse than one", "let a third small host join with roles: [store]")}
	case voters%2 == 0:
		return []Finding{warning(where, fmt.Sprintf("the store has %d members: no more may be lost than with %d, and every write waits for one more", voters, voters-1),
			"add one or remove one")}
	}
	return nil
}

// foundingSize looks at what is written while nobody can be asked.
func foundingSize(f *Facts) []Finding {
	if f.Cluster.Err == "" && f.Cluster.StoreErr != "" {
		return []Finding{unknown("store", "its members are not known: "+f.Cluster.StoreErr, "")}
	}
	if f.Roles.Store && f.Expect > 0 && f.Expect%2 == 0 {
		return []Finding{danger("store.expect", fmt.Sprintf("a store of %d hosts is to be founded: the loss of half of them stops it", f.Expect), "3 or 5 store hosts; a small one without PostgreSQL will do")}
	}
	return nil
}
