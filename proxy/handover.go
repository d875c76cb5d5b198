package proxy

import (
	"fmt"
	"os"
)

// ListenerFile is a listening socket on its way to another process.
type ListenerFile struct {
	Name string   // of the listener
	File *os.File // a duplicate; the receiver's Options.Listen makes a listener of it with net.FileListener
}

// Files duplicates the listening sockets, for a new binary that takes the doors over: start it with them, and then Retire
// and Stop this router, whose sessions run on until they end or Stop's context does. Clients that the kernel has queued are accepted by whichever process is
// there, so none is refused. The caller closes the files.
func (r *Router) Files() (files []ListenerFile, err error) {
	defer func() {
		if err != nil {
			for _, f := range files {
				_ = f.File.Close()
			}
			files = nil
		}
	}()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.listeners {
		if l.ln == nil {
			continue
		}
		f, err := socketOf(l.ln)
		if err != nil {
			return files, fmt.Errorf("router: hand over listener %s: %w", l.opts().Name, err)
		}
		keepPath(l.ln, true) // it is the new process's now
		files = append(files, ListenerFile{l.opts().Name, f})
	}
	return files, nil
}
