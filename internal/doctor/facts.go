package doctor

import (
	"time"

	"quorate/internal/config/dynamic"
)

// Facts are all that the rules may look at: one host, and the cluster as this host sees it.
type Facts struct {
	Now     time.Time
	Name    string
	Scope   string
	Roles   Roles
	OwnEtcd bool // the store is Quorate's own, not an etcd
	Expect  int  // store hosts that found a cluster; 0: not written

	Folders     []Folder
	Clock       Clock
	Processes   []Process
	Listeners   []Listener
	Postmasters []Postmaster
	Units       []Unit
	Kernel      Kernel
	Watchdog    Watchdog
	Data        Data
	Files       []Certificate
	Cluster     Cluster
	Reach       []Reach
	Gone        []string // what could not be looked at, and why: sentences
}

// Roles are the parts that the host plays.
type Roles struct{ Store, Postgres, Proxy bool }

// Folder is a place on a disk that matters, and how the disk answers.
type Folder struct {
	Use   string // store, data, wal
	Path  string
	Probe string // the folder that was looked at: Path, or the nearest one above it that exists
	// Disk names the device that holds it, so that two folders on one disk are told; "" when it is not known.
	Disk               string
	FSType             string // as the kernel names it: ext4, tmpfs, nfs4
	OnRoot             bool   // on the file system of /
	Free, Total        uint64 // bytes, for this user
	FreeNodes, AllNode uint64 // inodes; 0 in all: the file system has no limit
	Sync               *Latency
	Err                string
}

// Latency is how long a write of a record took until the disk had it.
type Latency struct {
	Count              int
	P50, P90, P99, Max time.Duration
}

// Clock is this host's.
type Clock struct {
	Known        bool // the kernel told whether it is synchronised
	Synchronised bool
	MaxError     time.Duration // the kernel's bound, while synchronised
	Source       string        // of the kernel's time: tsc, kvm-clock, hpet
	Suspended    time.Duration // that the host has slept since its start
}

// Process is a process of ours that runs.
type Process struct {
	Kind     string // agent, fence, postmaster
	PID      int
	Root     bool
	MemLock  uint64 // bytes; NoLimit
	NoFile   uint64
	Locked   uint64 // bytes that are locked in memory
	OOMScore int    // oom_score_adj
	Nice     int    // nice level
	// PidsMax and MemoryMax are the least limit of its control group and those above; NoLimit.
	PidsMax, PidsNow     uint64
	MemoryMax, MemoryNow uint64
	SharedBuffers        uint64 // of a postmaster, when known
}

// NoLimit is a limit that is none.
const NoLimit = ^uint64(0)

// Listener is a port that this host's configuration names.
type Listener struct {
	Key   string // of the configuration
	Addr  string // host:port
	Owner string // the program that listens there; "" for none
	PID   int
	Other bool // Owner is none of Quorate's
}

// Postmaster is a PostgreSQL that runs on this host.
type Postmaster struct {
	PID     int
	DataDir string
	Ours    bool // it runs on the configured data folder
	Fenced  bool // its parent is a fence
}

// Unit is something that may start a PostgreSQL or an agent at boot.
type Unit struct {
	Name    string
	DataDir string // of a PostgreSQL cluster
	Kind    string // postgresql, patroni
	// Configured says that a Patroni has a configuration, without which its unit does nothing.
	Configured bool
}

// Kernel is what the fence and PostgreSQL need of it.
type Kernel struct {
	Release       string
	PIDFD         bool // pidfd_open works
	ListsChildren bool // /proc/PID/task/TID/children is there
	ListsErr      string
	Overcommit    int // vm.overcommit_memory; -1 unknown
	SwapBytes     uint64
}

// Watchdog is the device.
type Watchdog struct {
	Mode, Device     string // mode: off, automatic, required
	Exists, Writable bool
	Identity         string
	Software         bool
}

// Data is the local data folder at rest.
type Data struct {
	Looked             bool
	Empty              bool
	Path               string
	Major, Programs    int // of the folder and of the programs; 0 unknown
	Checksums, Hints   bool
	Control            bool // the two above are known
	Problem            string
	Kept, KeptLogs     int // copies kept aside
	KeptBytes          uint64
	SystemID           string
	StandbySignal, Run bool
}

// Certificate is one file of them, or the one that a server shows.
type Certificate struct {
	Key, Path string // of the configuration
	NotAfter  time.Time
	NotBefore time.Time
	Err       string // it cannot be read, or does not fit its key
	ChainErr  string // it does not verify against the authority beside it
	Names     []string
	// Wanted is a name or an address under which others reach this host; NameErr says that the certificate does not hold for it.
	Wanted, NameErr string
	KeyMode         uint32 // permissions of the key's file; 0: not known
}

// Cluster is what the members tell.
type Cluster struct {
	Err     string // nobody answered
	Members []Member
	Config  *dynamic.Config
	Wrong   []string // corrections of the shared configuration, a sentence each
	Advice  []string
	Paused  bool
	Leader  string

	Store    []StoreMember
	StoreErr string
}

// StoreMember is a member of our own store.
type StoreMember struct {
	Name             string
	Learner, Healthy bool
}

// Member is one PostgreSQL of the cluster.
type Member struct {
	Name, Role, State string
	Addr              string // host:port of PostgreSQL
	Self              bool
	NoFailover        bool
	APIErr            string
	Product           string // Quorate/x, or Patroni x
	Quorate           bool
	ServerVersion     int
	SystemID          string
	PendingRestart    bool
	Clock             *Offset
	Server            Server
}

// IsLeader says whether the member holds the lead.
func (m Member) IsLeader() bool { return m.Role == "leader" || m.Role == "standby_leader" }

// Offset bounds by how much another host's clock is ahead of ours.
type Offset struct{ Low, High time.Duration }

// Least is the smallest difference that the bounds allow.
func (o Offset) Least() time.Duration {
	switch {
	case o.Low > 0:
		return o.Low
	case o.High < 0:
		return -o.High
	}
	return 0
}

// Server is what a PostgreSQL says of itself.
type Server struct {
	Err      string // the superuser could not ask it
	Settings map[string]string
	Slots    []Slot
	Logins   []Login
	// ArchiveFailed says that the last attempt to archive failed, and since when none succeeded.
	ArchiveFailed bool
	ArchiveError  string // the file
	Senders       int
}

// Slot is a replication slot.
type Slot struct {
	Name, Type string
	Active     bool
	Status     string // wal_status: reserved, extended, unreserved, lost
	Retained   int64  // bytes of WAL; negative: unknown
}

// Login is an attempt of this host to log in at a member.
type Login struct {
	Use, User string // replication, rewind, superuser
	Err       string
	Lacks     []string // privileges
}

// Reach is an attempt to connect from this host.
type Reach struct {
	Host, Port, What string
	Result           string // open, refused, filtered, failed
	Detail           string
	// Required says that something is known to serve there.
	Required bool
}
