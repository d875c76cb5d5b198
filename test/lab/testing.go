package lab

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// ArtifactsEnv names the folder for the logs of failed tests.
const ArtifactsEnv = "QUORATE_ARTIFACTS"

// tailBytes is how much of each log a failed test prints.
const tailBytes = 4 << 10

// ForTest makes a lab that ends with the test. A machine that cannot run one skips the test and says why. When the test has failed, the end
// of every log is printed and the whole logs stay in ArtifactsEnv's folder, or in a temporary one that is named.
func ForTest(t testing.TB) *Lab {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	l, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.End(t) })
	return l
}

// End is what the test's end does to the lab, for a test that needs another one before its end. It does nothing the second time.
func (l *Lab) End(t testing.TB) {
	t.Helper()
	l.mu.Lock()
	ended := l.ended
	l.ended = true
	l.mu.Unlock()
	if ended {
		return
	}
	if t.Failed() {
		l.keepLogs(t)
	}
	if err := l.Close(); err != nil {
		t.Errorf("closing the lab: %v", err)
	}
}

// Host adds a host to a test's lab.
func (l *Lab) Host(t testing.TB, name string) *Host {
	t.Helper()
	h, err := l.AddHost(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (l *Lab) keepLogs(t testing.TB) {
	dir := os.Getenv(ArtifactsEnv)
	if dir == "" {
		dir = filepath.Join(os.TempDir(), "quorate-artifacts")
	}
	dir = filepath.Join(dir, filepath.Base(t.Name())+"-"+l.run.String())
	if err := os.CopyFS(dir, os.DirFS(l.logs)); err != nil {
		t.Logf("keeping the logs: %v", err)
	}
	t.Logf("logs are in %s", dir)
	_ = filepath.WalkDir(l.logs, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && filepath.Ext(path) == ".log" {
			rel, _ := filepath.Rel(l.logs, path)
			t.Logf("--- end of %s\n%s", rel, tail(path, tailBytes))
		}
		return nil
	})
}

// tail returns the last whole lines of a file, n bytes at most.
func tail(path string, n int64) []byte {
	data, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	if int64(len(data)) <= n {
		return data
	}
	data = data[int64(len(data))-n:]
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		data = data[i+1:]
	}
	return data
}
