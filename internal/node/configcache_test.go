package node

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func newTestCache(t *testing.T) (c *configCache, log *bytes.Buffer) {
	log = &bytes.Buffer{}
	return newConfigCache(t.TempDir(), slog.New(slog.NewTextHandler(log, nil))), log
}

func putFile(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The copy follows the configuration, and a folder that is made anew gets it again; into an empty folder it is not written.
func TestConfigCopyFollows(t *testing.T) {
	c, log := newTestCache(t)
	if c.load() != nil {
		t.Error("a copy out of nothing")
	}
	var folder sync.Mutex
	go c.run(t.Context(), &folder)
	c.keep([]byte(`{"ttl":3}`))
	c.replaced()
	putFile(t, c.dir, "PG_VERSION", "15\n")
	if _, err := os.Stat(c.path()); err == nil {
		t.Error("written into a folder without a database")
	}
	folder.Lock() // an operation is under way
	c.replaced()
	c.keep([]byte(`{"ttl":4}`))
	folder.Unlock()
	c.replaced()
	has := func(want string) func() bool {
		return func() bool { b, _ := os.ReadFile(c.path()); return string(b) == want }
	}
	eventually(t, "the copy", has(`{"ttl":4}`))
	c.keep([]byte(`{"ttl":5}`))
	eventually(t, "the changed copy", has(`{"ttl":5}`))
	if err := os.Remove(c.path()); err != nil {
		t.Fatal(err)
	}
	c.replaced()
	eventually(t, "the copy in the new folder", has(`{"ttl":5}`))
	if info, err := os.Stat(c.path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("permissions %v, %v", info.Mode(), err)
	}
	if log.Len() > 0 {
		t.Error(log)
	}
	if again := newConfigCache(c.dir, c.log); string(again.load()) != `{"ttl":5}` {
		t.Error("the copy is not read")
	}
}

// A file that was written in half is named, and harms nothing.
func TestConfigCopyDamaged(t *testing.T) {
	for _, text := range []string{`{"ttl": 3, "synchro`, "", "null", "[1]", "\x00\x00"} {
		c, log := newTestCache(t)
		putFile(t, c.dir, configCacheName, text)
		if c.load() != nil || !strings.Contains(log.String(), configCacheName) {
			t.Errorf("%q: log %s", text, log)
		}
		putFile(t, c.dir, "PG_VERSION", "15\n")
		c.keep([]byte(`{"ttl":5}`))
		if err := c.save(); err != nil {
			t.Fatal(err)
		}
		if b, _ := os.ReadFile(c.path()); string(b) != `{"ttl":5}` {
			t.Errorf("%q stays", text)
		}
	}
}
