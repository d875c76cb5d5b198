package v2keys

import (
	"sync"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2store"
)

// Watch waits for the first change, or with stream for every change, of a node, or with recursive of anything below it,
// from index since on; 0 means from now. The channel of the watcher is closed when no more events will come: a reader that
// fell behind has missed some, or a snapshot has replaced the state. Events are shared: clone one before changing it. The
// caller calls Remove. The error is a *v2error.Error: the index may lie before the 1000 events that are kept.
func (k *Keys) Watch(path string, recursive, stream bool, since uint64) (v2store.Watcher, error) {
	k.mu.Lock()
	tree, gone := k.tree, k.gone
	k.mu.Unlock()
	inner, err := tree.Watch(path, recursive, stream, since)
	if err != nil {
		return nil, err
	}
	w := &watcher{inner: inner, events: make(chan *v2store.Event), removed: make(chan struct{})}
	go w.forward(gone)
	return w, nil
}

// watcher adds to v2store's the end of its channel.
type watcher struct {
	inner   v2store.Watcher
	events  chan *v2store.Event
	removed chan struct{}
	once    sync.Once
}

var _ v2store.Watcher = (*watcher)(nil)

// EventChan implements v2store.Watcher.
func (w *watcher) EventChan() chan *v2store.Event { return w.events }

// StartIndex implements v2store.Watcher.
func (w *watcher) StartIndex() uint64 { return w.inner.StartIndex() }

// Remove implements v2store.Watcher.
func (w *watcher) Remove() { w.once.Do(func() { close(w.removed) }) }

// forward passes events on until there can be no more. v2store gives a watcher up when its buffer is full, and does not
// say so: a full buffer is therefore the end.
func (w *watcher) forward(gone <-chan struct{}) {
	defer close(w.events)
	defer w.inner.Remove()
	inner := w.inner.EventChan()
	for {
		if len(inner) == cap(inner) {
			return
		}
		var e *v2store.Event
		select {
		case e = <-inner:
		case <-gone:
			return
		case <-w.removed:
			return
		}
		select {
		case w.events <- e:
		case <-gone:
			return
		case <-w.removed:
			return
		}
	}
}
