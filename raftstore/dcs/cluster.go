package dcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// KV is one key with what the store knows of it.
type KV struct {
	Key            string
	Value          []byte
	CreateRevision int64
	ModRevision    int64
	Lease          int64
}

// Term names one primary's reign: the store's cluster id and the revision in which the leader key was made. Terms of one
// cluster are ordered by Rev; a term of another cluster (a restored store) compares with none.
type Term struct {
	Cluster uint64 `json:"cluster"`
	Rev     int64  `json:"rev"`
}

// IsZero says whether there is no term.
func (t Term) IsZero() bool { return t.Rev == 0 }

// Covers says whether t is at or after o, in the same store.
func (t Term) Covers(o Term) bool { return t.Cluster == o.Cluster && t.Rev >= o.Rev }

func (t Term) String() string {
	if t.IsZero() {
		return "none"
	}
	return fmt.Sprintf("%x/%d", t.Cluster, t.Rev)
}

// Leader is the leader key.
type Leader struct {
	Name  string
	Lease int64
	Term  Term
	Mod   int64
}

// Member is what a node tells of itself in members/<name>. The JSON names and their order are Patroni's.
type Member struct {
	Name  string `json:"-"`
	Lease int64  `json:"-"`
	Mod   int64  `json:"-"`

	ConnURL              string          `json:"conn_url"`
	APIURL               string          `json:"api_url"`
	State                string          `json:"state"`
	Role                 string          `json:"role"`
	Version              string          `json:"version"`
	ProxyURL             string          `json:"proxy_url,omitempty"`
	CheckpointAfterProm  *bool           `json:"checkpoint_after_promote,omitempty"`
	Tags                 map[string]any  `json:"tags,omitempty"`
	PendingRestart       bool            `json:"pending_restart,omitempty"`
	PendingRestartReason json.RawMessage `json:"pending_restart_reason,omitempty"`
	XLogLocation         int64           `json:"xlog_location,omitempty"`
	ReplayLSN            int64           `json:"replay_lsn,omitempty"`
	ReceiveLSN           int64           `json:"receive_lsn,omitempty"`
	ReplicationState     string          `json:"replication_state,omitempty"`
	Timeline             uint32          `json:"timeline,omitempty"`
	ScheduledRestart     json.RawMessage `json:"scheduled_restart,omitempty"`
	Pause                bool            `json:"pause,omitempty"`
	SystemID             string          `json:"system_id,omitempty"` // ours: shown before the cluster is initialized
	Folder               string          `json:"folder,omitempty"`    // ours: empty or data
	// FollowingTerm is ours: the create revision of the leader key in whose term this standby takes the log that it streams.
	FollowingTerm int64 `json:"following_term,omitempty"`
	// Disk is ours: DiskFull or DiskLow when the file systems of data and WAL are; "" when there is room.
	Disk string `json:"disk,omitempty"`
}

// The states of a member's disks that others act on.
const (
	DiskFull = "full" // the next commit may fail
	DiskLow  = "low"  // room enough to go on, but not enough to take over from another whose disk is full
)

// IsQuorate says whether the member is run by Quorate. Patroni's agents cannot pledge.
func (m Member) IsQuorate() bool { return m.Folder != "" }

// Status is the leader's last word on its position.
type Status struct {
	Optime      int64            `json:"optime"`
	Slots       map[string]int64 `json:"slots,omitempty"`
	RetainSlots []string         `json:"retain_slots,omitempty"`
	Mod         int64            `json:"-"`
}

// Sync says who may be promoted in synchronous mode. Standbys are the names that were really synchronous when it was written.
type Sync struct {
	Leader   string
	Quorum   int
	Standbys []string
	Mod      int64
}

// Has says whether name is the leader or a standby in s.
func (s Sync) Has(name string) bool {
	if name == s.Leader {
		return true
	}
	for _, n := range s.Standbys {
		if n == name {
			return true
		}
	}
	return false
}

type syncJSON struct {
	Leader  string  `json:"leader"`
	Quorum  int     `json:"quorum"`
	Standby *string `json:"sync_standby"`
}

// Encode renders the key's value.
func (s Sync) Encode() string {
	j := syncJSON{Leader: s.Leader, Quorum: s.Quorum}
	if len(s.Standbys) > 0 {
		v := strings.Join(s.Standbys, ",")
		j.Standby = &v
	}
	return encode(j)
}

// Failover is a switchover or failover that was asked for. An empty one asks for nothing.
type Failover struct {
	Leader      string `json:"leader,omitempty"`
	Candidate   string `json:"member,omitempty"`
	ScheduledAt string `json:"scheduled_at,omitempty"` // ISO 8601
	Mod         int64  `json:"-"`
}

// IsZero says whether nothing is asked for.
func (f Failover) IsZero() bool { return f.Leader == "" && f.Candidate == "" }

// HistoryLine is the end of one timeline: [timeline, lsn, reason, timestamp, new_leader].
type HistoryLine struct {
	Timeline  uint32
	LSN       uint64
	Reason    string
	Timestamp string
	NewLeader string
}

// MarshalJSON writes the line as Patroni's array.
func (h HistoryLine) MarshalJSON() ([]byte, error) {
	a := []any{h.Timeline, h.LSN, h.Reason}
	if h.Timestamp != "" || h.NewLeader != "" {
		a = append(a, h.Timestamp, h.NewLeader)
	}
	return json.Marshal(a)
}

// UnmarshalJSON reads Patroni's array; the last two items may be missing.
func (h *HistoryLine) UnmarshalJSON(b []byte) error {
	var a []json.RawMessage
	if err := json.Unmarshal(b, &a); err != nil {
		return err
	}
	if len(a) < 3 {
		return fmt.Errorf("history line has %d items, at least 3 are expected", len(a))
	}
	into := []any{&h.Timeline, &h.LSN, &h.Reason, &h.Timestamp, &h.NewLeader}
	for i := range min(len(a), len(into)) {
		if err := json.Unmarshal(a[i], into[i]); err != nil {
			return fmt.Errorf("history item %d: %w", i, err)
		}
	}
	return nil
}

// Released is the record of a term that ended in order.
type Released struct {
	Term Term   `json:"term"`
	From string `json:"from"`
	To   string `json:"to,omitempty"` // the candidate, when there is one
	LSN  uint64 `json:"lsn"`          // the end of the old primary's WAL: who has all of it lacks nothing
}

// Unfenced is the record of a node that stays writable without a lease.
type Unfenced struct {
	Node string `json:"node"`
	Term Term   `json:"term"`
}

// Loss is what a node found to be on its own timeline only when it came back.
type Loss struct {
	Node         string `json:"node"`
	Timeline     uint32 `json:"timeline"`
	ForkLSN      uint64 `json:"fork_lsn"`
	EndLSN       uint64 `json:"end_lsn"`
	Bytes        uint64 `json:"bytes"`
	Transactions int    `json:"transactions"`
	KeptAt       string `json:"kept_at"`
	Time         string `json:"time"`
}

// Cluster is the state of one cluster as of a revision.
type Cluster struct {
	ClusterID uint64
	Revision  int64

	Initialize    string // the system identifier
	InitializeRev int64  // 0: there is no such key
	// InitializeLease is the bootstrapping node's: the key goes with it, so that a bootstrap which died can be tried again. 0
	// once the system identifier stands there.
	InitializeLease int64

	Config    json.RawMessage // nil: there is no such key
	ConfigRev int64

	Leader   *Leader
	Members  []Member // by name
	Status   Status
	History  []HistoryLine
	HistRev  int64
	Failover Failover
	Sync     Sync
	Failsafe map[string]string // who must agree when a primary has lost the store, with their API's URL
	// FailsafeRev is 0 when there is no such key.
	FailsafeRev int64
	Released    *Released
	// ReleasedRev is 0 when there is no such key.
	ReleasedRev int64
	Unfenced    *Unfenced
	// UnfencedRev is 0 when there is no such key.
	UnfencedRev int64
	Losses      []Loss
	LossRev     int64
	// Roster are the data hosts that the leader knew of, with their API's URL. Unlike the members they do not go with a lease:
	// after an outage of all hosts they say who may hold newer data.
	Roster    map[string]string
	RosterRev int64

	Problems []string // keys whose content could not be read, with what was wrong: they count as absent
}

// Member finds a member by name.
func (c *Cluster) Member(name string) (Member, bool) {
	i := sort.Search(len(c.Members), func(i int) bool { return c.Members[i].Name >= name })
	if i < len(c.Members) && c.Members[i].Name == name {
		return c.Members[i], true
	}
	return Member{}, false
}

// LeaderName is the name of the node that leads, or "".
func (c *Cluster) LeaderName() string {
	if c == nil || c.Leader == nil {
		return ""
	}
	return c.Leader.Name
}

// LastTimeline is the newest timeline that the history tells of: one more than the last that ended. 1 without history.
func (c *Cluster) LastTimeline() uint32 {
	if n := len(c.History); n > 0 {
		return c.History[n-1].Timeline + 1
	}
	return 1
}

// Parse reads the keys of a cluster. A key that cannot be read is reported in Problems and otherwise treated as absent:
// one bad value must never take a primary down.
func Parse(k Keys, clusterID uint64, rev int64, kvs []KV) *Cluster {
	c := &Cluster{ClusterID: clusterID, Revision: rev}
	for _, kv := range kvs {
		name, ok := strings.CutPrefix(kv.Key, k.base)
		if !ok {
			continue
		}
		if err := c.set(name, kv); err != nil {
			c.Problems = append(c.Problems, fmt.Sprintf("%s: %v", kv.Key, err))
		}
	}
	sort.Slice(c.Members, func(i, j int) bool { return c.Members[i].Name < c.Members[j].Name })
	return c
}

func (c *Cluster) set(name string, kv KV) error {
	if m, ok := strings.CutPrefix(name, "members/"); ok {
		return c.addMember(m, kv)
	}
	text := string(kv.Value)
	switch name {
	case "leader":
		c.Leader = &Leader{Name: text, Lease: kv.Lease, Term: Term{c.ClusterID, kv.CreateRevision}, Mod: kv.ModRevision}
	case "initialize":
		c.Initialize, c.InitializeRev, c.InitializeLease = text, kv.ModRevision, kv.Lease
	case "config":
		c.ConfigRev = kv.ModRevision
		var settings map[string]json.RawMessage
		if err := json.Unmarshal(kv.Value, &settings); err != nil {
			return err
		}
		if settings == nil {
			return errors.New("expected a JSON object")
		}
		c.Config = kv.Value
	case "status":
		c.Status.Mod = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Status)
	case "optime/leader":
		n, err := strconv.ParseInt(text, 10, 64)
		c.Status.Optime = max(c.Status.Optime, n)
		return err
	case "history":
		c.HistRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.History)
	case "failover":
		f, err := parseFailover(kv.Value)
		c.Failover, c.Failover.Mod = f, kv.ModRevision
		return err
	case "sync":
		return c.setSync(kv)
	case "failsafe":
		c.FailsafeRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Failsafe)
	case "quorate/released":
		c.ReleasedRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Released)
	case "quorate/unfenced":
		c.UnfencedRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Unfenced)
	case "quorate/roster":
		c.RosterRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Roster)
	case "quorate/losses":
		c.LossRev = kv.ModRevision
		return json.Unmarshal(kv.Value, &c.Losses)
	}
	return nil
}

func (c *Cluster) addMember(name string, kv KV) error {
	m := Member{Name: name, Lease: kv.Lease, Mod: kv.ModRevision}
	err := json.Unmarshal(kv.Value, &m)
	m.Name, m.Lease, m.Mod = name, kv.Lease, kv.ModRevision
	if m.Role == "master" { // Patroni before 4.0
		m.Role = "primary"
	}
	c.Members = append(c.Members, m) // one that cannot be read is still there: its name must not be taken
	return err
}

func (c *Cluster) setSync(kv KV) error {
	c.Sync.Mod = kv.ModRevision
	var j syncJSON
	if err := json.Unmarshal(kv.Value, &j); err != nil {
		return err
	}
	c.Sync.Leader, c.Sync.Quorum = j.Leader, j.Quorum
	if j.Standby != nil {
		for _, n := range strings.Split(*j.Standby, ",") {
			if n = strings.TrimSpace(n); n != "" {
				c.Sync.Standbys = append(c.Sync.Standbys, n)
			}
		}
	}
	return nil
}

// parseFailover reads the JSON form and the old text form "leader:candidate".
func parseFailover(v []byte) (Failover, error) {
	var f Failover
	err := json.Unmarshal(v, &f)
	if err == nil || len(v) == 0 {
		return f, nil
	}
	leader, candidate, ok := strings.Cut(string(v), ":")
	if !ok || strings.ContainsAny(leader, `{["`) {
		return Failover{}, err
	}
	return Failover{Leader: leader, Candidate: candidate}, nil
}

// encode writes JSON as Patroni does: without blanks and without HTML escapes.
func encode(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("dcs: a value of this package cannot be encoded: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Encode renders a value of this package for its key.
func Encode(v any) string { return encode(v) }
