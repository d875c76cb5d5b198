package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"quorate/api/rest"
	"quorate/internal/config/dynamic"
	"quorate/pgctl/instance"
)

// callbackLimit ends a callback that hangs. Patroni lets it run until the next one comes.
const callbackLimit = 5 * time.Minute

// hooks runs the commands that the configuration binds to moments of PostgreSQL's life: callbacks, which nobody waits for, and pre_promote
// and before_stop, which have their say first. All are bounded in time; who fails is named in the log and in the API.
type hooks struct {
	run   func(context.Context, instance.Hook) error
	log   *slog.Logger
	scope string
	ctx   context.Context // the agent's own
	grace time.Duration   // how long the end of the agent waits for callbacks

	mu     sync.Mutex
	lines  map[string]*callback
	failed map[string]rest.HookFailure
	tasks  sync.WaitGroup
}

// callback is one that runs.
type callback struct {
	end  context.CancelCauseFunc
	done chan struct{}
}

// callbackGrace is how long the end of the agent waits for callbacks; what takes longer goes on by itself.
const callbackGrace = 5 * time.Second

func newHooks(ctx context.Context, run func(context.Context, instance.Hook) error, scope string, log *slog.Logger) *hooks {
	return &hooks{
		run: run, log: log, scope: scope, ctx: context.WithoutCancel(ctx), grace: callbackGrace,
		lines: map[string]*callback{}, failed: map[string]rest.HookFailure{},
	}
}

// errNewer ends a callback because the next one has come.
var errNewer = errors.New("ended: another event has come meanwhile")

// lineOf groups the callbacks of which only the newest runs: what PostgreSQL is now counts, not what it was. A reload says nothing about that, and
// has a line of its own (Patroni 4.1, CallbackExecutor).
func lineOf(event string) string {
	if event == "on_reload" {
		return event
	}
	return "life"
}

// call begins a callback and returns: `<command> <event> <role> <scope>`. One that still runs in its line is killed first.
func (h *hooks) call(set dynamic.PostgreSQL, event, role string) {
	command := set.Callbacks[event]
	line := lineOf(event)
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.lines[line]
	if before != nil {
		before.end(errNewer)
	}
	if command == "" {
		return
	}
	ctx, end := context.WithCancelCause(h.ctx)
	now := &callback{end: end, done: make(chan struct{})}
	h.lines[line] = now
	h.tasks.Go(func() {
		defer close(now.done)
		defer end(nil)
		if before != nil {
			<-before.done
		}
		if ctx.Err() != nil {
			return
		}
		bounded, cancel := context.WithTimeoutCause(ctx, callbackLimit, fmt.Errorf("it has not ended within %s", callbackLimit))
		defer cancel()
		h.log.Info("callback", "event", event, "role", role)
		err := h.run(bounded, instance.Hook{Name: "postgresql.callbacks." + event, Command: command, Args: []string{event, role, h.scope}})
		h.note(event, err)
	})
}

// wait runs a hook that has its say first, bounded in time.
func (h *hooks) wait(ctx context.Context, limit time.Duration, k instance.Hook) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it has not ended within %s", limit))
	defer cancel()
	h.log.Info("running", "hook", k.Name)
	err := h.run(ctx, k)
	h.note(k.Name, err)
	return err
}

// note tells how a hook ended. A callback that had to make way has not failed.
func (h *hooks) note(name string, err error) {
	switch {
	case errors.Is(err, errNewer):
		h.log.Info("a callback was ended: another event has come meanwhile", "event", name)
		return
	case err != nil:
		h.log.Error("hook failed", "hook", name, "error", err)
	}
	h.remember(name, err)
}

// remember keeps how a hook ended for the API.
func (h *hooks) remember(name string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		delete(h.failed, name)
		return
	}
	h.failed[name] = rest.HookFailure{Hook: name, Error: err.Error(), At: time.Now()}
}

// failures are the hooks whose last run failed, by name.
func (h *hooks) failures() []rest.HookFailure {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []rest.HookFailure
	for _, f := range h.failed {
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b rest.HookFailure) int {
		if a.Hook < b.Hook {
			return -1
		}
		return 1
	})
	return out
}

// settle waits for the callbacks that run, for a while.
func (h *hooks) settle() {
	done := make(chan struct{})
	go func() { h.tasks.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(h.grace):
		h.log.Warn("callbacks still run; they go on by themselves")
	}
}
