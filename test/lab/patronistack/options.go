package patronistack

import (
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"sort"
	"time"

	"quorate/test/lab"
)

// Options describe one cluster. Hosts and Router are needed.
type Options struct {
	Hosts  []*lab.Host // three or five, each with etcd, Patroni and PostgreSQL
	Router *lab.Host   // runs HAProxy; clients connect to its ports 5000 and 5001

	TTL, LoopWait, RetryTimeout time.Duration // Patroni's; 30, 10 and 10 s if zero
	Synchronous                 bool          // synchronous_mode

	// Store is the program that runs as etcd; the distribution's if empty. Driver is the section of Patroni's configuration that names it: etcd3 if
	// empty, or etcd, for the v2 API.
	Store, Driver string

	// DiskMB puts each host's database on a file system of its own of that size, so that it can hang; on the machine's if zero.
	DiskMB int
	// Parameters are PostgreSQL's, added to the cluster's configuration.
	Parameters map[string]string
}

// The ports are those of every tutorial.
const (
	postgresPort = 5432
	clientPort   = 2379
	peerPort     = 2380
	primaryPort  = 5000
	replicaPort  = 5001
)

func (o *Options) complete() error {
	if len(o.Hosts) < 3 || o.Router == nil {
		return fmt.Errorf("patronistack: %d hosts; three are needed, and one for the router", len(o.Hosts))
	}
	for d, value := range map[*time.Duration]time.Duration{
		&o.TTL: 30 * time.Second, &o.LoopWait: 10 * time.Second, &o.RetryTimeout: 10 * time.Second,
	} {
		if *d == 0 {
			*d = value
		}
	}
	o.Store, o.Driver = cmp.Or(o.Store, "etcd"), cmp.Or(o.Driver, "etcd3")
	return nil
}

// Available returns why the stack cannot run on this machine, or nil.
func Available() error {
	if err := lab.Available(); err != nil {
		return err
	}
	for _, program := range []string{"etcd", "patroni", "haproxy"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("patronistack: %w", err)
		}
	}
	_, err := postgresBin()
	return err
}

// postgresBin is the programs' folder of the newest PostgreSQL that Debian's packages have installed.
func postgresBin() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("patronistack: no PostgreSQL server below /usr/lib/postgresql")
	}
	sort.Slice(found, func(i, j int) bool {
		return len(found[i]) < len(found[j]) || len(found[i]) == len(found[j]) && found[i] < found[j]
	})
	return filepath.Dir(found[len(found)-1]), nil
}
