package instance

import (
	"context"
	"time"
)

// watch has a goroutine wait for the end of the postmaster, once for each, and returns the channel that is closed then.
func (i *Instance) watch(pid int) <-chan struct{} {
	i.stateMu.Lock()
	defer i.stateMu.Unlock()
	if i.watched == pid && i.gone != nil {
		return i.gone
	}
	i.watched, i.gone = pid, make(chan struct{})
	gone := i.gone
	i.wg.Go(func() { i.awaitEnd(pid, gone) })
	return gone
}

// retryWait is how long to wait before asking a supervisor again that could not answer.
const retryWait = 100 * time.Millisecond

func (i *Instance) awaitEnd(pid int, gone chan struct{}) {
	for failures := 0; ; failures++ {
		e, err := i.opt.Supervisor.Wait(i.life)
		if i.life.Err() != nil {
			return
		}
		if err == nil {
			i.ended(pid, e, gone)
			return
		}
		if failures == 0 {
			i.log.Warn("cannot wait for the postmaster", "err", err)
		}
		select {
		case <-i.life.Done():
			return
		case <-time.After(retryWait):
		}
	}
}

// ended leaves the folder as a folder at rest has to be, and tells the owner.
func (i *Instance) ended(pid int, e ExitStatus, gone chan struct{}) {
	i.log.Info("the postmaster has ended", "pid", pid, "exit", e)
	i.metrics.exits.Inc()
	if err := i.atRest(); err != nil {
		i.log.Error("standby.signal could not be put back", "err", err)
	}
	i.stateMu.Lock()
	i.lastExit = e
	if i.watched == pid {
		i.watched = 0
	}
	i.stateMu.Unlock()
	close(gone)
	if i.opt.OnExit != nil {
		i.opt.OnExit(e)
	}
}

// LastExit is how the last postmaster ended.
func (i *Instance) LastExit() ExitStatus {
	i.stateMu.Lock()
	defer i.stateMu.Unlock()
	return i.lastExit
}

// Running is the postmaster's process number, 0 when there is none.
func (i *Instance) Running(ctx context.Context) (int, error) { return i.opt.Supervisor.Running(ctx) }

// Adopt takes charge of a postmaster that runs on the data folder already: one that the supervisor kept while the agent was
// restarted, or one that somebody else started. What it is told to follow and to wait for is read from its configuration. It returns 0
// when none runs.
func (i *Instance) Adopt(ctx context.Context) (pid int, err error) {
	pid, err = i.opt.Supervisor.Running(ctx)
	if err != nil {
		return 0, err
	}
	if pid == 0 {
		if pid = i.postmasterPID(); pid == 0 {
			return 0, nil
		}
		i.log.Warn("a postmaster that this agent has not started runs on the data folder: it is adopted", "pid", pid)
		if err := i.opt.Supervisor.Adopt(ctx, pid); err != nil {
			return pid, err
		}
	}
	i.loadState()
	i.watch(pid)
	return pid, nil
}
