package demo

import (
	"fmt"
	"sync"
	"time"

	"quorate/internal/boottime"
)

// keptEvents is how many are remembered for the view.
const keptEvents = 200

// event is something that happened, in words.
type event struct {
	at   time.Duration // since the demo began
	who  string        // a host; "" the demo itself
	text string
}

func (e event) String() string {
	return fmt.Sprintf("%6.1f s  %-2s  %s", e.at.Seconds(), e.who, e.text)
}

// events remembers the latest ones, and tells them to a listener as they come.
type events struct {
	begun boottime.Instant

	mu     sync.Mutex // guards what follows
	list   []event
	last   map[string]string
	listen func(event)
}

func newEvents(begun boottime.Instant) *events {
	return &events{begun: begun, last: map[string]string{}}
}

// say adds an event. What a host says twice in a row is no news.
func (e *events) say(who, text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if who != "" && e.last[who] == text {
		return
	}
	e.last[who] = text
	ev := event{boottime.Now().Sub(e.begun), who, text}
	e.list = append(e.list, ev)
	if len(e.list) > keptEvents {
		e.list = e.list[1:]
	}
	if e.listen != nil {
		e.listen(ev)
	}
}

// latest are the n newest, the oldest of them first.
func (e *events) latest(n int) []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]event(nil), e.list[max(0, len(e.list)-n):]...)
}

// tell has fn called with each event from now on, one at a time.
func (e *events) tell(fn func(event)) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listen = fn
}
