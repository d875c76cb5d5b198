package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"sync/atomic"
)

// Options say where a lab keeps its files. The zero value is usable.
type Options struct {
	// Dir is the folder below which the lab makes its own; the machine's temporary folder if empty. Every user must be able to pass through it.
	Dir string
	// Logs is the folder for the output of processes; inside the lab's own folder, and removed with it, if empty.
	Logs string
}

// Lab is a switch and the hosts on it.
type Lab struct {
	run  run
	dir  string
	logs string
	sw   *netns

	mu    sync.Mutex
	hosts []*Host
	ended bool // End was called
}

// labs counts the labs of this process: names of one run must differ.
var labs atomic.Int32

// maxHosts is what the lab's network has addresses for.
const maxHosts = 250

var hostName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)

// Available returns why this machine cannot run a lab, or nil.
func Available() error {
	if os.Geteuid() != 0 {
		return errors.New("lab: hosts are network namespaces, which need root")
	}
	for _, tool := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	if out, err := exec.Command("unshare", "--net", "ip", "link", "add", "type", "veth").CombinedOutput(); err != nil {
		return fmt.Errorf("lab: this machine refuses network namespaces with veth pairs: %w: %s", err, out)
	}
	return nil
}

// New makes a lab without hosts. What dead runs have left on the machine is removed first. The caller owes Close.
func New(o Options) (*Lab, error) {
	if err := Reap(); err != nil {
		return nil, err
	}
	r, err := newRun(int(labs.Add(1)))
	if err != nil {
		return nil, err
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	l := &Lab{run: r, dir: filepath.Join(o.Dir, r.String()), logs: o.Logs}
	if l.logs == "" {
		l.logs = filepath.Join(l.dir, "logs")
	}
	if err := errors.Join(mkdirOpen(l.dir), mkdirOpen(l.logs)); err != nil {
		return nil, err
	}
	if l.sw, err = newSwitch(r.String() + "-switch"); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// AddHost adds a running host without processes. Names are lower case letters, digits and dashes, and differ within the lab.
func (l *Lab) AddHost(name string) (*Host, error) {
	if !hostName.MatchString(name) || name == "switch" || name == "logs" {
		return nil, fmt.Errorf("lab: %q is no name for a host (want %s, and neither switch nor logs)", name, hostName)
	}
	l.mu.Lock()
	for _, h := range l.hosts {
		if h.Name == name {
			l.mu.Unlock()
			return nil, fmt.Errorf("lab: a host named %s is there already", name)
		}
	}
	if len(l.hosts) == maxHosts {
		l.mu.Unlock()
		return nil, fmt.Errorf("lab: no more than %d hosts", maxHosts)
	}
	h := &Host{Name: name, lab: l, index: len(l.hosts) + 1}
	h.port = newPort(h.index)
	l.hosts = append(l.hosts, h)
	l.mu.Unlock()
	if err := errors.Join(mkdirOpen(h.Dir()), mkdirOpen(filepath.Join(l.logs, name))); err != nil {
		return nil, err
	}
	return h, h.boot()
}

// Hosts lists the hosts in order of their addition.
func (l *Lab) Hosts() []*Host {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Host(nil), l.hosts...)
}

// Logs is the folder with a sub-folder of log files for each host.
func (l *Lab) Logs() string { return l.logs }

// introduce makes the host and all others with power know each other's hardware address.
func (l *Lab) introduce(h *Host) error {
	mine := h.ns()
	for _, other := range l.Hosts() {
		theirs := other.ns()
		if other == h || theirs == nil {
			continue
		}
		if err := errors.Join(other.port.know(mine), h.port.know(theirs)); err != nil {
			return err
		}
	}
	return nil
}

// Close kills what runs on the hosts and removes all that the lab made; logs stay if Options.Logs named a folder for them.
func (l *Lab) Close() error { return removeRun(l.run, filepath.Dir(l.dir)) }

// mkdirOpen makes a folder that other users may enter, whatever the umask is: servers drop root's rights.
func mkdirOpen(path string) error {
	return errors.Join(os.MkdirAll(path, 0o755), os.Chmod(path, 0o755))
}
