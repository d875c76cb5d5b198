package node

import (
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"quorate/api/rest"
	"quorate/pgctl/ha"
)

// requests are what operators have asked of this node and what has not been done yet.
type requests struct {
	post      func(event)                         // to the loop
	scheduled atomic.Pointer[rest.RestartRequest] // read by the loop, which must not wait for mu

	mu       sync.Mutex // guards what follows, and changes of scheduled
	next     uint64
	restarts map[uint64]chan error
	reinits  map[uint64]bool
	timer    *time.Timer
}

func newRequests(post func(event)) *requests {
	return &requests{post: post, restarts: map[uint64]chan error{}, reinits: map[uint64]bool{}}
}

// restart gives a number to a restart, and where its end will be told.
func (r *requests) restart() (uint64, <-chan error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	c := make(chan error, 1)
	r.restarts[r.next] = c
	return r.next, c
}

// withdraw forgets a restart that nobody waits for any more, before it surprises somebody.
func (r *requests) withdraw(id uint64) {
	r.mu.Lock()
	delete(r.restarts, id)
	r.mu.Unlock()
	r.post(restartDone(id))
}

// restartDone takes a request out of what the decisions see.
func restartDone(id uint64) event {
	return askEvent{func(k *ha.Asked) {
		if k.Restart != nil && k.Restart.ID == id {
			k.Restart = nil
		}
	}}
}

func (r *requests) reinit() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next++
	r.reinits[r.next] = true
	return r.next
}

// mayDiscard says whether an operator has asked for the folder to be made anew: his word allows to give a second diverged folder up.
func (r *requests) mayDiscard() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.reinits) > 0
}

// done tells whoever waits for the end of an operation. It is called before the loop learns of that end, so that no decision sees the
// request beside its outcome and carries it out twice. A copy that failed is tried again, and keeps its request.
func (r *requests) done(act ha.Action, err error) {
	switch act := act.(type) {
	case ha.Restart:
		r.post(restartDone(act.ID))
		r.mu.Lock()
		defer r.mu.Unlock()
		if c, ok := r.restarts[act.ID]; ok {
			delete(r.restarts, act.ID)
			c <- err
		}
	case ha.Clone:
		if err != nil {
			return
		}
		r.post(askEvent{func(k *ha.Asked) { k.Reinit = nil }})
		r.mu.Lock()
		defer r.mu.Unlock()
		clear(r.reinits)
	}
}

// schedule remembers one restart, and calls due at its time.
func (r *requests) schedule(req rest.RestartRequest, due func()) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scheduled.Load() != nil {
		return rest.ErrRestartScheduled
	}
	r.show(&req)
	r.timer = time.AfterFunc(time.Until(req.Schedule), func() {
		if r.take(&req) {
			due()
		}
	})
	return nil
}

// take forgets the scheduled restart if it still is this one.
func (r *requests) take(req *rest.RestartRequest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scheduled.Load() != req {
		return false
	}
	r.show(nil)
	return true
}

func (r *requests) unschedule() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.scheduled.Load() == nil {
		return rest.ErrNoRestart
	}
	r.timer.Stop()
	r.show(nil)
	return nil
}

// pending is the scheduled restart; nil: there is none.
func (r *requests) pending() *rest.RestartRequest { return r.scheduled.Load() }

// show puts the scheduled restart where the API and the member key have it. It is called with mu held.
func (r *requests) show(req *rest.RestartRequest) {
	r.scheduled.Store(req)
	var shown json.RawMessage
	if req != nil {
		shown, _ = json.Marshal(req) // times and text: it cannot fail
	}
	r.post(scheduledEvent{shown})
}

// scheduledEvent is the restart that the member key is to show.
type scheduledEvent struct{ restart json.RawMessage }

func (e scheduledEvent) fold(k *known) { k.self.ScheduledRestart = e.restart }
