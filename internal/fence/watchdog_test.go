package fence

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// shelf is where a test keeps its watchdogs: no machine of a test has one. It writes down what is done with them.
type shelf struct {
	devices map[string]int // the one timeout that it knows, or:
	said    []string
}

const (
	anyTimeout = 0
	noTimeout  = -1
)

type fakeDevice struct {
	shelf *shelf
	path  string
}

func (s *shelf) open(path string) (device, error) {
	if _, ok := s.devices[path]; !ok {
		return nil, os.ErrNotExist
	}
	s.said = append(s.said, "open "+path)
	return fakeDevice{s, path}, nil
}

func (d fakeDevice) setTimeout(seconds int) (int, error) {
	knows := d.shelf.devices[d.path]
	if knows == noTimeout {
		return 0, errors.New("invalid argument")
	}
	d.shelf.said = append(d.shelf.said, fmt.Sprintf("%s %d s", d.path, seconds))
	return cmp.Or(knows, seconds), nil
}

func (d fakeDevice) WriteString(text string) (int, error) {
	d.shelf.said = append(d.shelf.said, d.path+" "+text)
	return len(text), nil
}

func (d fakeDevice) Close() error {
	d.shelf.said = append(d.shelf.said, "close "+d.path)
	return nil
}

// A reload changes the watchdog of a primary that runs: its timeout, its device, whether there is one; and never so that the primary is worse off than
// before because a file has a slip.
func TestWatchdogChanges(t *testing.T) {
	s := &shelf{devices: map[string]int{"/dev/a": anyTimeout, "/dev/b": anyTimeout, "/dev/bad": noTimeout}}
	w := &watchdog{openDevice: s.open, state: "off"}
	conf := func(mode, path string, seconds int) WatchdogConfig {
		return WatchdogConfig{Mode: mode, Device: path, Timeout: time.Duration(seconds) * time.Second}
	}
	if err := w.change(conf("automatic", "/dev/a", 5), false); err != nil || len(s.said) > 0 {
		t.Fatalf("before there is a primary: %v %q", err, s.said)
	}
	if err := w.activate(); err != nil {
		t.Fatal(err)
	}
	s.said = nil
	for _, c := range []struct {
		to      WatchdogConfig
		said    string
		failing bool
		state   string
	}{
		{conf("automatic", "/dev/a", 5), "", false, "active"},
		{conf("required", "/dev/a", 9), "/dev/a 9 s", false, "active"},
		{conf("required", "/dev/b", 9), "open /dev/b, /dev/b 9 s, /dev/a V, close /dev/a", false, "active"},
		{conf("required", "/dev/none", 9), "", true, "active"},
		{conf("required", "/dev/bad", 9), "open /dev/bad, /dev/bad V, close /dev/bad", true, "active"},
		{conf("off", "/dev/b", 9), "/dev/b V, close /dev/b", false, "off"},
		{conf("required", "/dev/none", 9), "", true, "off"},
		{conf("automatic", "/dev/none", 9), "", false, "file does not exist"},
		{conf("automatic", "/dev/a", 9), "open /dev/a, /dev/a 9 s", false, "active"},
	} {
		s.said = nil
		before := w.cfg
		err := w.change(c.to, true)
		if said := strings.Join(s.said, ", "); said != c.said || (err != nil) != c.failing || w.state != c.state {
			t.Errorf("%+v: %q, %v, %s", c.to, said, err, w.state)
		}
		if c.failing && w.cfg != before {
			t.Errorf("%+v is refused, and kept", c.to)
		}
	}
	s.said = nil
	w.ping()
	w.disarm()
	if said := strings.Join(s.said, ", "); said != "/dev/a 1, /dev/a V, close /dev/a" {
		t.Errorf("at the end: %q", said)
	}
}

// A device may know one timeout only. One that resets a host between two pings is refused; one that comes too late is, where a watchdog is required,
// and is told of where it is not.
func TestWatchdogOfOneTimeout(t *testing.T) {
	for _, c := range []struct {
		knows  int
		mode   string
		refuse string
		state  string
	}{
		{5, "required", "", "active"},
		{4, "required", "", "active"},
		{2, "required", "resets the host 2 s after a ping, and pings are certain within 3s only", "off"},
		{2, "automatic", "", "/dev/a resets the host 2 s after a ping, and pings are certain within 3s only: raise ttl, lower watchdog.safety_margin, or use another device"},
		{60, "required", "resets the host 60 s after a ping, which is later than the 5 s", "off"},
		{60, "automatic", "", "active, but it resets the host after 60 s, and 5 s were asked for"},
	} {
		s := &shelf{devices: map[string]int{"/dev/a": c.knows}}
		w := &watchdog{openDevice: s.open, state: "off", cfg: WatchdogConfig{Mode: c.mode, Device: "/dev/a", Timeout: 5 * time.Second, Least: 3 * time.Second}}
		err := w.activate()
		if (err != nil) != (c.refuse != "") || err != nil && !strings.Contains(err.Error(), c.refuse) {
			t.Errorf("%d s, %s: %v", c.knows, c.mode, err)
		}
		if c.refuse == "" && w.state != c.state || (w.f != nil) != strings.HasPrefix(c.state, "active") {
			t.Errorf("%d s, %s: %s, open: %t", c.knows, c.mode, w.state, w.f != nil)
		}
		if w.f == nil && s.said[len(s.said)-1] != "close /dev/a" {
			t.Errorf("%d s, %s: %q", c.knows, c.mode, s.said)
		}
	}
}
