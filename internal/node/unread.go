package node

import (
	"log/slog"
	"slices"

	"quorate/raftstore/dcs"
)

// unreadKeys tells once of each key of the cluster that cannot be read: it counts as absent, or as it last could be read, until somebody mends
// it.
type unreadKeys struct {
	log  *slog.Logger
	told []string
}

// tell is called for one view after the other.
func (u *unreadKeys) tell(c *dcs.Cluster) {
	if c == nil {
		return
	}
	for _, p := range c.Problems {
		if !slices.Contains(u.told, p) {
			u.log.Warn("a key of the cluster cannot be read and is passed over: write it anew", "key", p)
		}
	}
	if len(u.told) > 0 && len(c.Problems) == 0 {
		u.log.Info("all keys of the cluster can be read again")
	}
	u.told = c.Problems
}
