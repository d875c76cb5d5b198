package postgres

import (
	"fmt"
	"strings"
)

// maxSlotName is NAMEDATALEN - 1.
const maxSlotName = 63

// SlotName is the replication slot of a member, by Patroni's rule, so that members of both kinds find each other's slots: lower
// case, '-' and '.' become '_', any other character that a slot cannot have becomes u and its code point in at least four decimal
// digits, and what is longer than 63 bytes is cut.
func SlotName(member string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(member) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			b.WriteRune(r)
		case r == '-', r == '.':
			b.WriteByte('_')
		default:
			fmt.Fprintf(&b, "u%04d", r)
		}
	}
	s := b.String()
	return s[:min(len(s), maxSlotName)]
}

// ValidSlotName says whether PostgreSQL accepts the name (ReplicationSlotValidateName).
func ValidSlotName(s string) bool {
	if s == "" || len(s) > maxSlotName {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// SlotConflicts are the members whose slot names would be the same, keyed by that name. Two such members would share one slot, and the one
// that is ahead would let the log of the other go.
func SlotConflicts(members []string) map[string][]string {
	by := make(map[string][]string)
	for _, m := range members {
		by[SlotName(m)] = append(by[SlotName(m)], m)
	}
	for k, v := range by {
		if len(v) < 2 {
			delete(by, k)
		}
	}
	return by
}
