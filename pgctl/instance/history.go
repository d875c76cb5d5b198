package instance

import (
	"errors"
	"io/fs"
	"os"
	"strconv"

	"quorate/pgctl/postgres"
)

// LocalHistory reads a timeline's history from the data folder. Timeline 1 has none; that of a later one is on disk before
// anything of it is.
func (i *Instance) LocalHistory(t postgres.Timeline) (postgres.History, error) {
	b, err := os.ReadFile(i.dataPath("pg_wal", t.HistoryFile()))
	if errors.Is(err, fs.ErrNotExist) && t == 1 {
		return postgres.History{Timeline: t}, nil
	}
	if err != nil {
		return postgres.History{}, err
	}
	return postgres.ParseHistory(t, string(b))
}

func parseTimeline(s string) (postgres.Timeline, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return postgres.Timeline(n), err
}
