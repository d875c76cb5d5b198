package candidate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"quorate/pgctl/ha/syncset"
)

// Choice is the question whom a leader hands over to.
type Choice struct {
	Leader  Member
	Members []Member
	Named   string // the candidate that was asked for; "": any
	// Failover says that the operator named no leader: the candidate need not be synchronous.
	Failover  bool
	MaxLag    int64 // maximum_lag_on_failover, bytes
	Mode      syncset.Mode
	Key       syncset.Key
	KeyExists bool
}

// Best is the member to hand over to, or "" and why there is none. Since a leader that stops in order sends everything to those
// that stream from it, the operator's preference counts before the position. In synchronous mode the target is in the sync key.
func Best(c Choice) (name, why string) {
	var fit []Member
	var refused []string
	for _, m := range c.Members {
		if m.Name == c.Leader.Name || c.Named != "" && m.Name != c.Named {
			continue
		}
		if no := c.unfit(m); no != "" {
			refused = append(refused, m.Name+" "+no)
			continue
		}
		fit = append(fit, m)
	}
	switch {
	case len(fit) > 0:
		return slices.MinFunc(fit, prefer).Name, ""
	case len(refused) > 0:
		return "", "no good candidates have been found: " + strings.Join(refused, "; ")
	case c.Named != "":
		return "", fmt.Sprintf("candidate %s does not exist", c.Named)
	}
	return "", "the cluster does not have members except leader"
}

func prefer(a, b Member) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), b.position().Compare(a.position()), cmp.Compare(a.Name, b.Name))
}

func (c Choice) unfit(m Member) string {
	switch {
	case !m.Reachable:
		return "is not reachable"
	case !m.Running:
		return "is not running"
	case m.Primary:
		return "is a primary itself"
	case m.SystemID != "" && c.Leader.SystemID != "" && m.SystemID != c.Leader.SystemID:
		return "has another system identifier"
	case m.barred():
		return "is not allowed to promote"
	case m.WatchdogFailed:
		return "has no usable watchdog"
	case m.Timeline != c.Leader.Timeline:
		return fmt.Sprintf("is on timeline %d, the leader on %d", m.Timeline, c.Leader.Timeline)
	case c.Leader.LSN().Sub(m.LSN()) > c.MaxLag:
		return fmt.Sprintf("lags by %d bytes", c.Leader.LSN().Sub(m.LSN()))
	case c.Mode != syncset.Off && c.KeyExists && !c.Failover && !slices.Contains(c.Key.Voters, m.Name):
		return "is not synchronous"
	}
	return ""
}
