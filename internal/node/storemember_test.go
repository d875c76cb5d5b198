package node

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
	"unsafe"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// disk is a file system of its own that can fail.
type disk struct {
	t           *testing.T
	image, path string
}

// newDisk mounts a new file system.
func newDisk(t *testing.T, image, path string, megabytes int64) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	d := &disk{t: t, image: image, path: path}
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(megabytes<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image).CombinedOutput(); err != nil {
		t.Skipf("mkfs.ext4: %v: %s", err, out)
	}
	d.mount()
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
	return d
}

func (d *disk) mount() {
	d.t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.path).CombinedOutput(); err != nil {
		d.t.Skipf("mount: %v: %s", err, out)
	}
}

// fail makes the file system refuse everything from now on, as it does when its disk has gone (EXT4_IOC_SHUTDOWN).
func (d *disk) fail() {
	d.t.Helper()
	f, err := os.Open(d.path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	const shutdown, noLogFlush = 0x8004587d, uint32(2)
	how := noLogFlush
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), shutdown, uintptr(unsafe.Pointer(&how))); errno != 0 {
		d.t.Skipf("this kernel cannot shut a file system down: %v", errno)
	}
}

// replace brings the disk back, at the same place, while files of the one that failed may still be open.
func (d *disk) replace() {
	d.t.Helper()
	if err := unix.Unmount(d.path, unix.MNT_DETACH); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

// A member whose file system fails is opened again, by itself, when the disk is back, with all that was acknowledged.
func TestMemberIsReopened(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	disk := newDisk(t, s.path("image"), s.mkdir("store"), 192)
	s.config("")
	n := s.run(s.load("store"))
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{s.addr(portClient)}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	eventually(t, "a store that serves", func() bool {
		_, err := c.Put(t.Context(), "k", "v")
		return err == nil
	})
	disk.fail()
	eventually(t, "the member to fail", func() bool { return strings.Contains(s.log.String(), "the store has failed; this host goes on") })
	eventually(t, "a try in vain", func() bool { return strings.Contains(s.log.String(), "the store cannot be opened again yet") })
	disk.replace()
	eventually(t, "the member to serve again", func() bool {
		r, err := c.Get(t.Context(), "k")
		return err == nil && len(r.Kvs) == 1 && string(r.Kvs[0].Value) == "v"
	})
	if _, err := c.Put(t.Context(), "k", "w"); err != nil {
		t.Error(err)
	}
	if r, err := n.dcs.Load(t.Context(), "k"); err != nil {
		t.Errorf("the client within the process: %+v, %v", r, err)
	}
	began := time.Now()
	n.end()
	if took := time.Since(began); took > patience/2 {
		t.Errorf("stopping took %v", took)
	}
}

// store.cors names the web pages that may read answers. Without it there are none.
func TestStoreOrigins(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cors  []string
		allow string
	}{
		{nil, ""}, {[]string{"https://ui.example"}, "https://ui.example"},
	} {
		s := newSite(t)
		s.config("")
		conf := s.load("store")
		conf.Store.Origins = c.cors
		n := s.run(conf)
		var got http.Header
		eventually(t, "an answer", func() bool {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr(portClient)+"/version", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Origin", "https://ui.example")
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				return false
			}
			r.Body.Close()
			got = r.Header
			return r.StatusCode == http.StatusOK
		})
		if allow := got.Get("Access-Control-Allow-Origin"); allow != c.allow {
			t.Errorf("with %q: %q, want %q", c.cors, allow, c.allow)
		}
		n.end()
	}
}
