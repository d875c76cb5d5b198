package node

import (
	"log/slog"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/internal/config/dynamic"
	"quorate/internal/dcsclient"
)

// outage tells once that the store cannot be read, and how long that lasted. A store that has not been read since the start is being
// founded or elects its leader: that is worth a warning only when it lasts.
type outage struct {
	begun  bool             // the store cannot be read
	since  boottime.Instant // from when on
	warned bool
	once   bool // it could be read before
}

// patienceAtStart is how long a start may wait for the store without a warning.
const patienceAtStart = 10 * time.Second

func (o *outage) failed(log *slog.Logger, now boottime.Instant, err error) {
	if !o.begun {
		o.begun, o.since = true, now
		if !o.once {
			log.Info("waiting for the store", "error", dcsclient.Words(err))
		}
	}
	if !o.warned && (o.once || now.Sub(o.since) > patienceAtStart) {
		o.warned = true
		log.Warn("the store cannot be read", "error", dcsclient.Words(err))
	}
}

func (o *outage) over(log *slog.Logger, now boottime.Instant) {
	if o.begun {
		log.Info("the store can be read", "after", now.Sub(o.since).Round(time.Millisecond).String())
	}
	*o = outage{once: true}
}

// changeAgain is after what time a change that goes on failing is told of once more.
const changeAgain = time.Minute

// failedChanges are the changes to the store, or other things asked for, that have failed since one succeeded. Each is told of once: while the store is away the
// member and status keys fail with every loop.
type failedChanges struct {
	mu   sync.Mutex
	told echo
}

// news says whether the failure of a change is worth a line in the log.
func (f *failedChanges) news(what string, now boottime.Instant) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.told.repeats(what, now, changeAgain)
}

func (f *failedChanges) over() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = echo{}
}

// corrections are those of the configuration that holds, as they were told.
type corrections map[dynamic.Correction]bool

// news are the corrections that the configuration before had not: one that comes back is told again.
func (c *corrections) news(wrong []dynamic.Correction) (news []dynamic.Correction) {
	now := make(corrections, len(wrong))
	for _, w := range wrong {
		if now[w] = true; !(*c)[w] {
			news = append(news, w)
		}
	}
	*c = now
	return news
}
