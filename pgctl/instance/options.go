package instance

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"quorate/pgctl/postgres"
)

// Account is a database role that the agent uses. An empty password means that the server asks for none.
type Account struct {
	User     string
	Password string
	Extra    postgres.Conninfo // sslmode, sslcert, gssencmode, ... of its connections
}

// Options say which PostgreSQL an Instance owns.
type Options struct {
	DataDir string // absolute
	// BinDir has PostgreSQL's programs. Empty: looked for in the distributions' places and in PATH, by the folder's major version.
	BinDir string
	// ConfigDir has postgresql.conf, pg_hba.conf and pg_ident.conf. Empty: DataDir.
	ConfigDir string
	// BinName are other names of programs, by the usual ones.
	BinName map[string]string
	// PassFile is the password file that the agent writes. Empty: pgpass in StateDir.
	PassFile string
	// StateDir keeps the agent's own files about the folder: markers, password file, log, WAL kept aside. Empty: DataDir + ".quorate".
	// It must not lie in DataDir, which clones and rewinds replace.
	StateDir string

	ClusterName string // cluster_name: the scope
	Listen      string // listen_addresses; empty: all
	Port        int    // empty: 5432
	// SocketDir is unix_socket_directories and where the agent connects. Empty: /var/run/postgresql when it is there, else /tmp.
	SocketDir string
	// ConnectHost is the address that the agent tries when the socket does not let it in. Empty: 127.0.0.1.
	ConnectHost string
	Database    string // empty: postgres

	Superuser, Replication, Rewind Account // to begin with; Config.Accounts changes them

	// RestoreLimit ends a restore_command that hangs, so that a promotion does not wait for it for ever; 0: five minutes for each file,
	// negative: no limit. It needs the program timeout.
	RestoreLimit time.Duration
	// FetchLimit is how much log, in bytes, may be fetched along with logical slots; 0: 256 MiB. A standby that is busy with it cannot be promoted
	// meanwhile.
	FetchLimit int64

	// UID and GID run PostgreSQL when the agent is root; ignored otherwise. 0: the data folder's owner, else the user postgres.
	UID, GID int
	groups   []uint32 // that user's further ones: ssl-cert, for one, may read the server's key

	Supervisor Supervisor
	Logger     *slog.Logger          // nil: discarded
	Metrics    prometheus.Registerer // nil: none

	// OnExit is called once for each end of a postmaster, asked for or not, after all its processes have gone. It must not block.
	OnExit func(ExitStatus)
	// OnProgress is called as long operations go on. It must not block.
	OnProgress func(Progress)
}

// Progress is where a long operation stands.
type Progress struct {
	Operation string
	Step      string
	Done      int64 // bytes; 0 while unknown
	Total     int64
}

func (o *Options) setDefaults() error {
	if !filepath.IsAbs(o.DataDir) {
		return fmt.Errorf("data_dir %q is not an absolute path", o.DataDir)
	}
	if o.Supervisor == nil {
		return errors.New("no supervisor")
	}
	o.DataDir = filepath.Clean(o.DataDir)
	setIfEmpty(&o.ConfigDir, o.DataDir)
	setIfEmpty(&o.StateDir, o.DataDir+".quorate")
	o.setOwnDefaults()
	if o.FetchLimit == 0 {
		o.FetchLimit = 256 << 20
	}
	if o.RestoreLimit == 0 {
		o.RestoreLimit = 5 * time.Minute
	}
	if _, err := exec.LookPath("timeout"); err != nil {
		o.RestoreLimit = -1
	}
	if o.SocketDir == "" {
		o.SocketDir = "/tmp"
		if _, err := os.Stat("/var/run/postgresql"); err == nil {
			o.SocketDir = "/var/run/postgresql"
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if rel, err := filepath.Rel(o.DataDir, o.StateDir); err == nil && filepath.IsLocal(rel) {
		return fmt.Errorf("the state folder %s lies in the data folder %s, which clones and rewinds replace", o.StateDir, o.DataDir)
	}
	if err := o.setRunAs(); err != nil {
		return err
	}
	o.groups = groupsOf(o.UID)
	return nil
}

// groupsOf are the groups of a user by the system's databases; none for one that is not in them.
func groupsOf(uid int) []uint32 {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var out []uint32
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			out = append(out, uint32(n))
		}
	}
	return out
}

// setOwnDefaults completes what Settings hold.
func (o *Options) setOwnDefaults() {
	setIfEmpty(&o.PassFile, filepath.Join(o.StateDir, "pgpass"))
	setIfEmpty(&o.Listen, "*")
	setIfEmpty(&o.ConnectHost, "127.0.0.1")
	setIfEmpty(&o.Database, "postgres")
	if o.Port == 0 {
		o.Port = 5432
	}
}

func setIfEmpty(s *string, v string) {
	if *s == "" {
		*s = v
	}
}

// setRunAs decides which user runs PostgreSQL; it refuses to be root.
func (o *Options) setRunAs() error {
	if os.Geteuid() != 0 {
		o.UID, o.GID = os.Geteuid(), os.Getegid()
		return nil
	}
	if o.UID != 0 {
		return nil
	}
	if fi, err := os.Stat(o.DataDir); err == nil {
		if st, ok := fi.Sys().(*syscall.Stat_t); ok && st.Uid != 0 {
			o.UID, o.GID = int(st.Uid), int(st.Gid)
			return nil
		}
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and there is no other user for it: %w", err)
	}
	o.UID, err = strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	o.GID, err = strconv.Atoi(u.Gid)
	return err
}
