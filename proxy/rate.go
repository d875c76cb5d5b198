package proxy

import "time"

// rate counts what happens in each second, as HAProxy's freq_ctr does: how often in the last second, and at most.
type rate struct {
	second    int64 // that now counts; in whole seconds since rateFrom
	now, last int64 // in that second, and in the one before
	most      int64
}

// rateFrom only makes seconds of monotonic time.
var rateFrom = time.Now()

// roll begins a new second, if it is time to.
func (r *rate) roll(at time.Duration) {
	s := int64(at / time.Second)
	if s == r.second {
		return
	}
	if r.last = 0; s == r.second+1 {
		r.last = r.now
	}
	r.second, r.now = s, 0
}

func (r *rate) tick(at time.Duration) {
	r.roll(at)
	r.now++
	r.most = max(r.most, r.now)
}

// read is the rate over the last second: what is of it in the present one, and the rest of the one before.
func (r *rate) read(at time.Duration) int64 {
	r.roll(at)
	return r.now + r.last*int64(time.Second-at%time.Second)/int64(time.Second)
}

// window is how many sessions HAProxy's averages of times go over (management guide, section 9.1).
const window = 1024

// average is of the last few of a series of times, as HAProxy's swrate is, and their maximum.
type average struct {
	n         int64
	sum, most time.Duration
}

func (a *average) add(d time.Duration) {
	a.most = max(a.most, d)
	if a.n < window {
		a.n++
		a.sum += d
		return
	}
	a.sum += d - a.sum/window
}

func (a *average) read() time.Duration {
	if a.n == 0 {
		return 0
	}
	return a.sum / time.Duration(a.n)
}
