package node

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/instance"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// seen keeps the newest sample and lets others wait for a newer one.
type seen struct {
	mu     sync.Mutex
	sample instance.Sample
	news   chan struct{}
}

func newSeen() *seen { return &seen{news: make(chan struct{})} }

func (s *seen) put(x instance.Sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sample = x
	close(s.news)
	s.news = make(chan struct{})
}

func (s *seen) get() (instance.Sample, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sample, s.news
}

// onSample tells the loop what the monitor saw.
func (a *agent) onSample(s instance.Sample) {
	a.seen.put(s)
	a.lookForWatchdog()
	a.sawServed(s)
	a.loop.post(pgEvent{func(p *ha.PG) { foldSample(p, s, a.phase(s)) }})
	a.pub.sample(s)
}

// phase is the postmaster's state by the fence's word and a sample.
func (a *agent) phase(s instance.Sample) ha.Phase {
	st, ok := a.guard.Status()
	switch {
	case !ok || st.PM == 0:
		return ha.Stopped
	case s.StatusAt.IsZero():
		return ha.Starting
	}
	return ha.Running
}

// fresh waits until a sample that was asked for after now has come, bounded in time: what an operation did shows in it.
func (a *agent) fresh(ctx context.Context) instance.Sample {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	from := boottime.Now()
	a.mon.Poke()
	for {
		s, news := a.seen.get()
		if s.Asked.After(from) {
			return s
		}
		select {
		case <-news:
		case <-ctx.Done():
			return s
		}
	}
}

// runningLong is after how long a server that runs counts as healthy again.
const runningLong = time.Minute

// foldSample puts a sample into what is known.
func foldSample(p *ha.PG, s instance.Sample, phase ha.Phase) {
	now := boottime.Now()
	if phase != p.Phase {
		p.Phase, p.PhaseSince = phase, now
	}
	if phase != ha.Running || s.Err != nil {
		return
	}
	st := s.Status
	p.Folder, p.Problem = ha.FolderData, ""
	if st.Timeline != 0 && st.Timeline != p.Timeline {
		p.Switches = nil // those of another timeline: a promotion is seen here before it says what it left
	}
	p.SampleAt, p.InRecovery, p.SystemID, p.Timeline = s.Asked, st.InRecovery, st.SystemID, st.Timeline
	p.FlushLSN, p.ReplayLSN = st.Current, st.Current
	p.Streaming, p.ReplState = false, ""
	if st.InRecovery {
		p.FlushLSN, p.ReplayLSN = st.Received, st.Replayed
		p.ReplState = "in archive recovery"
		if r := st.Receiver; r != nil && r.Status == "streaming" {
			p.Streaming, p.ReplState = true, "streaming"
		}
	}
	p.SlotSync = st.SlotSync
	p.Checkpointing = st.InRecovery && st.CheckpointTimeline != 0 && st.Timeline != 0 && st.CheckpointTimeline != st.Timeline
	foldNames(p, st, now)
	p.Standbys, p.Slots = standbysOf(st), slotsOf(st)
	p.SlotRows = slotRows(st)
	p.PendingRestart, p.PendingRestartReason = pendingOf(st)
	if now.Sub(p.PhaseSince) > runningLong {
		p.Crashes = 0
	}
}

// settledAfter is after how long names that were seen in effect, and that nobody changes, are in effect in every process. It serves
// an agent that has just started; a change made by this process is proven by the operation itself.
const settledAfter = 5 * time.Second

// foldNames keeps the position from which on the names that are in effect have been so: a standby that has flushed up to it has
// every commit that earlier names let through.
func foldNames(p *ha.PG, st postgres.Status, now boottime.Instant) {
	names, err := postgres.ParseSyncNames(st.SyncNames)
	if err != nil {
		return
	}
	if st.InRecovery || names.String() != p.Names.String() {
		p.Names, p.NamesSince, p.NamesSeen = names, 0, now
		return
	}
	if p.NamesSince == 0 && !p.NamesSeen.IsZero() && now.Sub(p.NamesSeen) > settledAfter {
		p.NamesSince = st.Current
	}
}

// namesInEffect is called with the first sample after an operation that has put names in effect.
func namesInEffect(p *ha.PG, names postgres.SyncNames) {
	if p.Names.String() == names.String() && !p.InRecovery {
		p.NamesSince = p.FlushLSN
	}
}

func standbysOf(st postgres.Status) []syncset.Standby {
	var out []syncset.Standby
	for _, r := range st.Standbys {
		out = append(out, syncset.Standby{Name: r.Name, Streaming: r.State == "streaming", SyncState: r.SyncState, FlushLSN: r.Flush, ReplayLSN: r.Replay})
	}
	return out
}

func slotsOf(st postgres.Status) []string {
	var out []string
	for _, s := range st.Slots {
		if !s.Logical && !s.Temporary {
			out = append(out, s.Name)
		}
	}
	return out
}

func pendingOf(st postgres.Status) (bool, json.RawMessage) {
	if len(st.Pending) == 0 {
		return false, nil
	}
	why := map[string]map[string]string{}
	for _, p := range st.Pending {
		why[p.Name] = map[string]string{"old_value": p.Old, "new_value": p.New}
	}
	b, err := json.Marshal(why)
	if err != nil {
		return true, nil
	}
	return true, b
}

// inspect looks at the data folder and says how what is known changes by it.
func (a *agent) inspect(ctx context.Context) func(*ha.PG) {
	f := a.inst.Inspect(ctx)
	st, connected := a.guard.Status()
	s, _ := a.seen.get()
	phase := a.phase(s)
	pledged, pledgeErr := a.pledged.load()
	var end, redo postgres.LSN
	var tl postgres.Timeline
	if c := f.Control; c != nil && connected && st.PM == 0 {
		end, tl, redo = c.Checkpoint+1, c.Timeline, c.Redo
		if c.MinRecoveryEnd > end {
			end, tl = c.MinRecoveryEnd, max(c.MinRecoveryEndTL, tl)
		}
	}
	names := a.inst.SyncNames()
	return func(p *ha.PG) {
		p.NamesAsked = names
		if pledgeErr == nil {
			p.Pledged = pledged
		}
		p.Folder, p.Problem = folderOf(f)
		if phase != p.Phase {
			p.Phase, p.PhaseSince = phase, boottime.Now()
		}
		if f.Control == nil {
			if f.Empty {
				p.SystemID = ""
			}
			return
		}
		p.SystemID = f.Control.SystemID
		if phase == ha.Stopped && connected {
			p.Clean, p.WasPrimary, p.EndLSN = f.Control.State.Clean(), f.Control.State.WasPrimary(), end
			p.Timeline, p.Replay, p.Standbys, p.Streaming = tl, max(0, p.FlushLSN.Sub(redo)), nil, false
		}
	}
}

func folderOf(f instance.Folder) (ha.Folder, string) {
	switch {
	case f.Err == nil:
		return ha.FolderData, ""
	case f.Empty:
		return ha.FolderEmpty, ""
	case errors.Is(f.Err, instance.ErrUnfinished) && f.Marker != nil && (f.Marker.Operation == "clone" || f.Marker.Operation == "initdb"):
		return ha.FolderEmpty, "" // what a broken copy left is not data: the next copy removes it, by its marker
	case errors.Is(f.Err, instance.ErrUnfinished):
		return ha.FolderBroken, f.Err.Error()
	}
	return ha.FolderBad, f.Err.Error()
}

// pledgeFile keeps "nothing from terms up to this" on disk.
type pledgeFile struct {
	mu   sync.Mutex
	path string
}

func (f *pledgeFile) load() (dcs.Term, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.read()
}

func (f *pledgeFile) read() (dcs.Term, error) {
	b, err := os.ReadFile(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return dcs.Term{}, nil
	}
	if err != nil {
		return dcs.Term{}, err
	}
	var t dcs.Term
	return t, json.Unmarshal(b, &t)
}

// raise stores a term that is later than the stored one, durably: it is on disk when this returns.
func (f *pledgeFile) raise(t dcs.Term) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	have, err := f.read()
	if err == nil && have.Covers(t) {
		return nil
	}
	b, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return writeDurably(f.path, b)
}

// writeDurably puts a whole file in place of another, on disk before it is visible.
func writeDurably(path string, content []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
