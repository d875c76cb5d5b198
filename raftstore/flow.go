package raftstore

import (
	"sync/atomic"
	"time"
)

// flow watches the proposals on their way.
type flow struct {
	inFlight atomic.Int64
	// refused is the monotonic time of the first of an unbroken run of refusals because leadership is being transferred,
	// 0 when the last proposal was not refused for that.
	refused atomic.Int64
}

// enter counts a proposal in; false when there are too many. Every enter is followed by a leave.
func (f *flow) enter() bool { return f.inFlight.Add(1) <= maxProposals }

func (f *flow) leave() { f.inFlight.Add(-1) }

// refusedFor notes a refusal and returns since when there has been nothing but refusals.
func (f *flow) refusedFor(now time.Duration) time.Duration {
	f.refused.CompareAndSwap(0, int64(now))
	return now - time.Duration(f.refused.Load())
}

func (f *flow) taken() { f.refused.Store(0) }
