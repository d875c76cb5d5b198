package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// configCacheName is Patroni's, too: a data folder that was Patroni's brings its last shared configuration along.
const configCacheName = "patroni.dynamic.json"

// configCache is the copy of the shared configuration in the data folder. A store that has lost the key gets it back from there, with
// whatever was changed since the cluster was founded.
type configCache struct {
	dir string // the data folder
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	newest  []byte
	written []byte
	wake    chan struct{} // of capacity one
}

func newConfigCache(dir string, log *slog.Logger) *configCache {
	return &configCache{dir: dir, log: log, wake: make(chan struct{}, 1)}
}

func (c *configCache) path() string { return filepath.Join(c.dir, configCacheName) }

// load reads the copy; nil when there is none. One that cannot be used is named and left alone: the next change replaces it.
func (c *configCache) load() json.RawMessage {
	b, err := os.ReadFile(c.path())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var m map[string]any
	if err == nil {
		err = json.Unmarshal(b, &m)
	}
	if err == nil && m == nil {
		err = errors.New("expected a JSON object")
	}
	if err != nil {
		c.log.Warn("the copy of the shared configuration cannot be used; should the store have lost it, it begins with bootstrap.dcs", "file", c.path(), "error", err)
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest, c.written = b, b
	return b
}

// keep remembers the newest configuration.
func (c *configCache) keep(config []byte) {
	c.mu.Lock()
	changed := !bytes.Equal(config, c.newest)
	c.newest = config
	c.mu.Unlock()
	if changed {
		c.again()
	}
}

// again looks whether there is something to write: the folder may be another one now.
func (c *configCache) again() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// replaced is told when an operation may have changed the folder.
func (c *configCache) replaced() {
	c.mu.Lock()
	c.written = nil
	c.mu.Unlock()
	c.again()
}

// run writes what is new while nobody else changes the folder; who does tells when he has done.
func (c *configCache) run(ctx context.Context, folder *sync.Mutex) {
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		if !folder.TryLock() {
			continue
		}
		err := c.save()
		folder.Unlock()
		was := told
		if told = ""; err != nil {
			told = err.Error()
		}
		if told != "" && told != was { // a full disk is told once, and tried again at every decision
			c.log.Warn("the copy of the shared configuration was not written", "file", c.path(), "error", err)
		}
	}
}

// save writes the newest configuration, unless it is there already or the folder holds no database: a file in it would keep one from being
// made there.
func (c *configCache) save() error {
	c.mu.Lock()
	text, same := c.newest, bytes.Equal(c.newest, c.written)
	c.mu.Unlock()
	if same || text == nil {
		return nil
	}
	folder, err := os.Stat(filepath.Join(c.dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := replaceFile(c.path(), text, folder); err != nil {
		return err
	}
	c.mu.Lock()
	c.written = text
	c.mu.Unlock()
	return nil
}

// replaceFile writes a file whole or not at all, with the owner and permissions of another one beside it.
func replaceFile(path string, text []byte, like fs.FileInfo) (err error) {
	tmp := path + ".new"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, like.Mode().Perm())
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(tmp)
		}
	}()
	_, err = f.Write(text)
	if st, ok := like.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		err = errors.Join(err, f.Chown(int(st.Uid), int(st.Gid)))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("put %s in place: %w", filepath.Base(path), err)
	}
	return nil
}
