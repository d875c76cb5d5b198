package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/postgres"
)

// askFailsafe asks every member to let this primary go on without the store.
func (a *agent) askFailsafe(act ha.AskFailsafe) {
	ctx, cancel := context.WithTimeout(a.ctx, peerTimeout)
	defer cancel()
	req := rest.FailsafeRequest{Name: a.cfg.Name, ConnURL: a.connURL(), APIURL: apiURL(a.cfg), Term: act.Term, TTL: act.TTL.Milliseconds(), Slots: act.Slots}
	out := ha.Failsafe{Term: act.Term, Sent: boottime.Now(), TTL: act.TTL, All: true, LSNs: map[string]postgres.LSN{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, api := range act.Members {
		wg.Go(func() {
			lsn, err := a.peers.accepts(ctx, api, req)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				a.log.Debug("failsafe mode", "member", name, "error", err)
				out.All = false
				out.Why = firstSet(out.Why, name+" does not agree: "+plainly(err))
				return
			}
			out.LSNs[name] = lsn
		})
	}
	wg.Wait()
	a.loop.post(failsafeEvent{out})
}

// plainly is what went wrong, without addresses and ports, which would make each time another reason of it.
func plainly(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it has not answered in time"
	case errors.Is(err, errRefused):
		return strings.TrimPrefix(err.Error(), errRefused.Error()+": ")
	}
	return "it cannot be reached"
}

type failsafeEvent struct{ got ha.Failsafe }

func (e failsafeEvent) fold(k *known) {
	k.free(ha.LaneSafe)
	k.safe = e.got
}

var errRefused = errors.New("refused")

// accepts asks one member, which tells how far it has the log; 0 if it does not say. Patroni's members take the same request, and promise by rules of their own.
func (p *peerClient) accepts(ctx context.Context, api string, req rest.FailsafeRequest) (postgres.LSN, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return 0, err
	}
	a, err := p.send(ctx, api, "/failsafe", b)
	switch {
	case err != nil:
		return 0, err
	case a.code != http.StatusOK:
		return 0, fmt.Errorf("%w: %s", errRefused, strings.TrimSpace(string(a.body)))
	}
	lsn, _ := strconv.ParseUint(a.header.Get("lsn"), 10, 64)
	return postgres.LSN(lsn), nil
}

// Failsafe lets a primary go on that has lost the store: this node takes no lead for a while, by a promise that is on disk before the answer
// is given. A node that leads, or that has a change of the lead on its way, promises nothing.
func (b *backend) Failsafe(ctx context.Context, r rest.FailsafeRequest) (uint64, error) {
	ask := &vowRequest{req: r, answer: make(chan vowAnswer, 1)}
	b.a.loop.post(ask)
	select {
	case ans := <-ask.answer:
		if ans.err != nil {
			return 0, ans.err
		}
		return ans.lsn, b.a.promise.store(ans.vow, ans.ttl)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// vowRequest is a request that the loop itself answers, so that no change of the lead can be begun between the question and the promise.
type vowRequest struct {
	req    rest.FailsafeRequest
	answer chan vowAnswer
}

type vowAnswer struct {
	vow ha.Promise
	ttl time.Duration
	lsn uint64
	err error
}

func (e *vowRequest) fold(k *known) {
	c := k.store.Cluster
	switch {
	case c == nil || c.FailsafeRev == 0 || !k.set.FailsafeMode:
		e.answer <- vowAnswer{err: rest.ErrFailsafeOff}
		return
	case k.pg.Phase != ha.Stopped && !k.pg.InRecovery, c.LeaderName() == k.self.Name, k.lanes[ha.LaneCommit] != nil:
		e.answer <- vowAnswer{err: rest.ErrRunningAsLeader}
		return
	}
	ttl := max(k.set.TTL, time.Duration(e.req.TTL)*time.Millisecond)
	k.safeSlots = ha.SafeSlots{At: boottime.Now(), Positions: e.req.Slots}
	k.vow = ha.Promise{To: e.req.Name, Term: e.req.Term, Conn: e.req.ConnURL, Until: boottime.Now().Add(ttl)}
	e.answer <- vowAnswer{vow: k.vow, ttl: ttl, lsn: uint64(max(k.pg.FlushLSN, k.pg.ReplayLSN))}
}

// promiseFile keeps the promise on disk. Its time is of the clock that begins with the boot, so that the boot is kept with it.
type promiseFile struct {
	mu   sync.Mutex
	path string
}

type storedPromise struct {
	Boot    string        `json:"boot"`
	TTL     time.Duration `json:"ttl_ns"`
	Promise ha.Promise    `json:"promise"`
}

// bootID names the kernel's present run.
func bootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func (f *promiseFile) store(p ha.Promise, ttl time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	b, err := json.Marshal(storedPromise{Boot: bootID(), TTL: ttl, Promise: p})
	if err != nil {
		return err
	}
	if err := writeDurably(f.path, b); err != nil {
		return fmt.Errorf("storing the promise: %w", err)
	}
	return nil
}

// load reads the promise. How much of one that was made before a boot is left is not known: it counts in full, and so does one that
// cannot be read.
func (f *promiseFile) load(now boottime.Instant, ttl time.Duration, log *slog.Logger) ha.Promise {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return ha.Promise{}
	}
	var s storedPromise
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	if err != nil {
		log.Error("the failsafe promise cannot be read: no lead is taken for a ttl", "file", f.path, "error", err)
		return ha.Promise{To: "another primary", Until: now.Add(ttl)}
	}
	if s.Boot != bootID() || s.Boot == "" {
		s.Promise.Until = now.Add(max(ttl, s.TTL))
	}
	return s.Promise
}
