package node

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
)

// loop owns known: it folds events, decides, and hands actions to the executor.
type loop struct {
	known  *known
	events chan event
	run    func(a ha.Action, k *known) // begins an action; must not block
	show   func(s ha.Snapshot, d ha.Decision)
	log    *slog.Logger

	last    ha.Reason
	retried echo         // the changes to the store that were told
	beat    atomic.Int64 // boottime of the last decision, for liveness
	next    atomic.Int64
	history *decisions
}

// post gives the loop an event. It blocks only while the loop is behind by a thousand events.
func (l *loop) post(e event) { l.events <- e }

// serve runs until ctx ends.
func (l *loop) serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-l.events:
			e.fold(l.known)
		case <-timer.C:
		}
		l.drain()
		wake := l.decide()
		timer.Reset(max(0, boottime.Until(wake)))
	}
}

// drain folds what else has come meanwhile: one decision serves all of it.
func (l *loop) drain() {
	for {
		select {
		case e := <-l.events:
			e.fold(l.known)
		default:
			return
		}
	}
}

func (l *loop) decide() boottime.Instant {
	now := boottime.Now()
	s := l.known.snapshot(now, time.Now())
	d := ha.Decide(s)
	l.known.mem = d.Mem
	l.tell(s, d) // before its actions: what they log comes behind the decision that they follow from
	for _, a := range d.Actions {
		if a.Lane() != ha.LaneExit {
			l.known.take(a.Lane())
		}
		l.run(a, l.known)
	}
	l.show(s, d)
	l.beat.Store(int64(now))
	l.next.Store(int64(d.Wake))
	return d.Wake
}

// tell logs a decision that changed something, or that has another reason than the one before: nothing at rest.
func (l *loop) tell(s ha.Snapshot, d ha.Decision) {
	var notable []string
	for _, a := range d.Actions {
		if isNotable(a) {
			notable = append(notable, a.String())
		}
	}
	if len(notable) == 0 && (d.Reason == l.last || d.Reason.Code == ha.CodePromoting || d.Reason.InProgress()) {
		return // to promote takes several decisions within a moment: those that do something tell it
	}
	if retriedAgain(&l.retried, d, notable, boottime.Now()) {
		return
	}
	attrs := []any{"reason", string(d.Reason.Code)}
	if len(notable) > 0 {
		attrs = append(attrs, "actions", notable)
	}
	l.log.Info(d.Reason.Text, attrs...)
	l.history.add(s.Wall, d.Reason, notable)
	l.last = d.Reason
}

// retriedAgain says whether a decision has been told already and is tried once more: changes to the store, or questions to another node, the same ones for the same
// reason, as they come every few seconds while nobody answers. It is news again after changeAgain. What is tried again on PostgreSQL is told each time: such attempts are
// few, and each has an outcome of its own.
func retriedAgain(last *echo, d ha.Decision, notable []string, now boottime.Instant) bool {
	if len(notable) == 0 || !onlyAsks(d.Actions) {
		*last = echo{}
		return false
	}
	return last.repeats(d.Reason.Text+"\n"+strings.Join(notable, "\n"), now, changeAgain)
}

// echo is what was said since something else happened, and when each of it.
type echo struct{ said map[string]boottime.Instant }

// repeats says whether text was said before, and not as long ago as that; else it is said now.
func (e *echo) repeats(text string, now boottime.Instant, within time.Duration) bool {
	if at, ok := e.said[text]; ok && now.Sub(at) < within {
		return true
	}
	if e.said == nil || len(e.said) >= echoes {
		e.said = map[string]boottime.Instant{}
	}
	e.said[text] = now
	return false
}

// echoes bounds what is remembered: errors may name ports, and be new each time.
const echoes = 100

// onlyAsks says whether all that is notable of the actions changes nothing here.
func onlyAsks(actions []ha.Action) bool {
	for _, a := range actions {
		switch a.(type) {
		case ha.Commit, ha.CheckWAL, ha.GrantLease, ha.AdoptLease:
		default:
			if isNotable(a) {
				return false
			}
		}
	}
	return true
}

// isNotable leaves out what is done again and again while nothing happens.
func isNotable(a ha.Action) bool {
	switch a := a.(type) {
	case ha.RenewLease, ha.ArmFence, ha.AskPeers, ha.AskFailsafe:
		return false
	case ha.SetSlots:
		return !a.OnlyMoves()
	case ha.Commit:
		return a.In == ha.LaneCommit && !a.Upkeep()
	}
	return true
}
