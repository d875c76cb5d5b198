package rest

import (
	"strconv"
	"strings"

	"quorate/internal/config/dynamic"
)

// noLoadBalance says whether the tag noloadbalance keeps this node out of /replica.
func noLoadBalance(tags map[string]any) bool { return truthy(tags["noloadbalance"]) }

// failoverPriority is the tag failover_priority as Patroni reads it: 0 when nofailover is set, 1 when nothing is.
func failoverPriority(tags map[string]any) int64 {
	if truthy(tags["nofailover"]) {
		return 0
	}
	if n, ok := ParseSize(dynamic.Text(tags["failover_priority"])); ok {
		return n
	}
	return 1
}

// truthy reads a tag that should be a boolean. Text that means no is no: Patroni takes any text for yes, which nobody who writes
// "false" can have meant.
func truthy(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	}
	text := dynamic.Text(v)
	if b, err := dynamic.Bool(v); err == nil {
		return b
	}
	n, err := strconv.ParseFloat(text, 64)
	return text != "" && (err != nil || n != 0)
}

// tagMatches compares a tag with the text of a query: text as it is, everything else as its lower-case text. A missing tag
// matches nothing.
func tagMatches(tag any, wanted string) bool {
	switch x := tag.(type) {
	case nil:
		return false
	case string:
		return x == wanted
	}
	return strings.ToLower(dynamic.Text(tag)) == wanted
}
