package node

import (
	"errors"
	"io/fs"
	"os"
	"testing"
)

func TestWriteThroughLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := writeThrough(dir); err != nil {
		t.Skipf("this file system has no unnamed files: %v", err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	if err := writeThrough(dir + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("a missing folder: %v", err)
	}
}
