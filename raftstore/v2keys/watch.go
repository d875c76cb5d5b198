package v2keys

import "go.etcd.io/etcd/server/v3/etcdserver/api/v2store"

// Watcher is one watch. The caller calls Stop.
type Watcher struct {
	watcher v2store.Watcher
	gone    <-chan struct{}
}

// Watch waits for the first change, or with stream for every change, of a node, or with recursive of anything below it,
// from index since on; 0 means from now. The error is a *v2error.Error: the index may lie before the 1000 events that are
// kept.
func (k *Keys) Watch(path string, recursive, stream bool, since uint64) (*Watcher, error) {
	k.mu.Lock()
	tree, gone := k.tree, k.gone
	k.mu.Unlock()
	w, err := tree.Watch(path, recursive, stream, since)
	if err != nil {
		return nil, err
	}
	return &Watcher{watcher: w, gone: gone}, nil
}

// Events delivers the changes. Their values are shared: clone before changing one.
func (w *Watcher) Events() <-chan *v2store.Event { return w.watcher.EventChan() }

// Overrun says whether the watcher has been dropped because nobody read its events. v2store does not tell: it stops
// sending when the buffer is full, which is what this looks at, so ask before each read.
func (w *Watcher) Overrun() bool {
	events := w.watcher.EventChan()
	return len(events) == cap(events)
}

// Gone is closed when the state was replaced by a snapshot: no event will come any more.
func (w *Watcher) Gone() <-chan struct{} { return w.gone }

// StartIndex is the index of the key space when the watch began.
func (w *Watcher) StartIndex() uint64 { return w.watcher.StartIndex() }

// Stop ends the watch.
func (w *Watcher) Stop() { w.watcher.Remove() }
