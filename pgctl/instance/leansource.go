package instance

import (
	"context"

	"quorate/pgctl/postgres"
)

// leanSource is what pg_rewind is given for its source: the relay that keeps from it what it need not fetch, or the source itself where that cannot be had.
type leanSource struct {
	direct postgres.Conninfo
	relay  *rewindRelay // nil: the source itself
	spared sparedWAL
}

// newLeanSource never fails: at worst all of the log is fetched.
func (i *Instance) newLeanSource(ctx context.Context, o RewindOptions, fork postgres.ForkPoint, segSize uint64) *leanSource {
	s := &leanSource{direct: i.rewindSource(o)}
	to := target{
		host: o.Host, port: o.Port, account: i.accounts().Rewind, database: i.settings().Database, app: o.Name,
		params: map[string]string{"options": s.direct.Get("options")},
	}
	var err error
	if s.spared, err = i.spareWAL(fork, segSize); err == nil {
		s.relay, err = i.newRewindRelay(ctx, to, s.spared.surplus)
	}
	if err != nil {
		i.log.Warn("pg_rewind is given its source itself, and fetches the whole log", "err", err)
	}
	return s
}

func (s *leanSource) conninfo() postgres.Conninfo {
	if s.relay == nil {
		return s.direct
	}
	return s.relay.conninfo()
}

// fresh forgets what a dry run has left out.
func (s *leanSource) fresh() {
	if s.relay != nil {
		s.relay.forget()
	}
}

// giveBack puts the log that was not fetched, since it was here, into the folder again.
func (s *leanSource) giveBack() error {
	if s.relay == nil {
		return nil
	}
	left := s.relay.leftOut()
	s.relay.i.log.Info("log of the source was not fetched", "segments", len(left), "bytes", uint64(len(left))*s.spared.segSize)
	return s.spared.giveBack(left)
}

// close leaves the source itself.
func (s *leanSource) close() {
	if s.relay != nil {
		s.relay.close()
		s.relay = nil
	}
	s.spared.drop()
}
