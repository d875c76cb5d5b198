package doctor

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/internal/config/dynamic"
)

var day0 = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

// sound is a host of a cluster in which nothing is wrong.
func sound() *Facts {
	good := Server{Settings: map[string]string{
		"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "wal_level": "replica", "hot_standby": "on", "wal_log_hints": "on",
		"data_checksums": "off", "archive_mode": "off", "wal_keep_size": "128", "max_slot_wal_keep_size": "10240", "wal_receiver_timeout": "5000",
		"wal_sender_timeout": "5000", "max_replication_slots": "10", "max_wal_senders": "10", "max_connections": "100",
	}, Slots: []Slot{{Name: "pg2", Type: "physical", Active: true, Status: "reserved", Retained: 1 << 20}},
		Logins: []Login{{Use: "replication", User: "replicator"}, {Use: "rewind", User: "rewinder"}}}
	member := func(name, role string, self bool) Member {
		return Member{Name: name, Role: role, State: "streaming", Addr: name + ":5432", Self: self, Product: "Quorate/1", Quorate: true, ServerVersion: 150006,
			SystemID: "7", Clock: &Offset{-time.Second, time.Second}, Server: good}
	}
	c := dynamic.Config{SynchronousMode: dynamic.SyncOn, SynchronousNodeCount: 1}
	c.PostgreSQL.UseSlots = true
	return &Facts{
		Now: day0, Name: "pg1", Scope: "demo", Roles: Roles{true, true, true}, OwnEtcd: true, Expect: 3,
		Folders: []Folder{
			{Use: "store", Path: "/store", Disk: "vdb", FSType: "xfs", Free: 80, Total: 100, Sync: &Latency{Count: 500, P50: time.Millisecond, P99: 2 * time.Millisecond}},
			{Use: "data", Path: "/data", Disk: "vdc", FSType: "xfs", Free: 80 << 30, Total: 100 << 30, Sync: &Latency{Count: 500, P99: 2 * time.Millisecond}},
			{Use: "wal", Path: "/data/pg_wal", Disk: "vdc", Free: 80 << 30, Total: 100 << 30},
		},
		Clock:     Clock{Known: true, Synchronised: true, Source: "tsc"},
		Processes: []Process{{Kind: "agent", PID: 1, MemLock: NoLimit, NoFile: 1 << 20, OOMScore: -900, Nice: -10, PidsMax: NoLimit, MemoryMax: NoLimit}},
		Listeners: []Listener{{Key: "restapi.listen", Addr: "0.0.0.0:8008", Owner: "quorate", PID: 1}},
		Postmasters: []Postmaster{
			{PID: 10, DataDir: "/data", Ours: true, Fenced: true},
		},
		Kernel:   Kernel{Release: "6.1", PIDFD: true, ListsChildren: true, Overcommit: 2},
		Watchdog: Watchdog{Mode: "automatic", Device: "/dev/watchdog", Exists: true, Writable: true},
		Data:     Data{Looked: true, Path: "/data", Major: 15, Programs: 15, Checksums: true, Control: true, SystemID: "7", StandbySignal: true, Run: true},
		Files:    []Certificate{{Key: "restapi.certfile", Path: "/etc/c.pem", NotBefore: day0.Add(-time.Hour), NotAfter: day0.AddDate(1, 0, 0), KeyMode: 0o600}},
		Cluster: Cluster{Leader: "pg1", Config: &c, Members: []Member{member("pg1", "leader", true), member("pg2", "sync_standby", false), member("pg3", "replica", false)},
			Store: []StoreMember{{"pg1", false, true}, {"pg2", false, true}, {"pg3", false, true}}},
		Reach: []Reach{{Host: "pg2", Port: "5432", What: "PostgreSQL", Result: "open", Required: true}},
	}
}

func TestNothingIsWrongWithASoundHost(t *testing.T) {
	r := Diagnose(sound())
	if len(r.Findings) > 0 {
		t.Errorf("findings: %+v", r.Findings)
	}
	if len(r.Fine) != len(Rules()) {
		t.Errorf("%d of %d rules looked: %v", len(r.Fine), len(Rules()), r.Fine)
	}
}

// set gives one setting of one member another value.
func set(member int, name, value string) func(*Facts) {
	return func(f *Facts) {
		m := &f.Cluster.Members[member].Server
		fresh := map[string]string{}
		for k, v := range m.Settings {
			fresh[k] = v
		}
		fresh[name] = value
		m.Settings = fresh
	}
}

// cases are one fault each, and the one finding that it makes.
var cases = []struct {
	code   string
	level  Level
	text   string // part of the finding
	remedy string // part of the remedy
	fault  func(*Facts)
}{
	{"unsafe-parameters", Danger, "fsync is off", "fsync=on", set(1, "fsync", "off")},
	{"unsafe-parameters", Danger, "full_page_writes is off", "full_page_writes=on", set(0, "full_page_writes", "off")},
	{"unsafe-parameters", Danger, "remote_write while synchronous_mode", "synchronous_commit=on", set(0, "synchronous_commit", "remote_write")},
	{"unsafe-parameters", Warning, "synchronous_commit is off", "", func(f *Facts) {
		f.Cluster.Config.SynchronousMode = dynamic.SyncOff
		set(0, "synchronous_commit", "off")(f)
	}},
	{"data-folder", Danger, "of 14, the programs", "", func(f *Facts) { f.Data.Problem = "the folder is of 14, the programs are of 15" }},
	{"data-folder", Danger, "no programs", "bin_dir", func(f *Facts) { f.Data.Empty, f.Data.Problem, f.Data.Programs = true, "no programs", 0 }},
	{"data-folder", Unknown, "could not be looked at", "as root", func(f *Facts) { f.Data.Looked = false }},
	{"data-folder", Warning, "no standby.signal", "", func(f *Facts) { f.Data.StandbySignal, f.Data.Run = false, false }},
	{"system-identifier", Danger, "7: pg1, pg3; 8: pg2", "reinit", func(f *Facts) { f.Cluster.Members[1].SystemID = "8" }},
	{"system-identifier", Danger, "pg1 (its folder)", "", func(f *Facts) { f.Data.SystemID = "9" }},
	{"rewind", Warning, "neither data checksums nor wal_log_hints", "wal_log_hints=on", set(0, "wal_log_hints", "off")},
	{"kept-aside", Warning, "1 data folders", "diverged list", func(f *Facts) { f.Data.Kept, f.Data.KeptBytes = 1, 3<<30 }},
	{"postmasters", Danger, "2 postmasters", "", func(f *Facts) { f.Postmasters = append(f.Postmasters, Postmaster{11, "/data", true, true}) }},
	{"postmasters", Warning, "no child of Quorate's fence", "quorate restart", func(f *Facts) { f.Postmasters[0].Fenced = false }},
	{"postmasters", Note, "/elsewhere (process 11)", "", func(f *Facts) { f.Postmasters = append(f.Postmasters, Postmaster{11, "/elsewhere", false, false}) }},
	{"units", Danger, "two agents", "disable --now patroni.service", func(f *Facts) { f.Units = []Unit{{Name: "patroni.service", Kind: "patroni", Configured: true}} }},
	{"units", Note, "no configuration", "", func(f *Facts) { f.Units = []Unit{{Name: "patroni.service", Kind: "patroni"}} }},
	{"units", Danger, "at boot, beside Quorate", "disable --now", func(f *Facts) {
		f.Units = []Unit{{Name: "postgresql@15-main.service", Kind: "postgresql", DataDir: "/data"}}
	}},
	{"units", Note, "another PostgreSQL", "", func(f *Facts) { f.Units = []Unit{{Name: "postgresql@15-x.service", Kind: "postgresql", DataDir: "/x"}} }},
	{"ports", Danger, "held by haproxy (process 4)", "", func(f *Facts) {
		f.Listeners = append(f.Listeners, Listener{"proxy.listeners[0].listen", "*:5000", "haproxy", 4, true})
	}},
	{"store-quorum", Danger, "no majority", "start the missing ones: pg2, pg3", func(f *Facts) { f.Cluster.Store[1].Healthy, f.Cluster.Store[2].Healthy = false, false }},
	{"store-quorum", Danger, "one more loss", "member remove", func(f *Facts) { f.Cluster.Store[1].Healthy = false }},
	{"store-quorum", Warning, "e5 does not answer", "", func(f *Facts) {
		f.Cluster.Store = append(f.Cluster.Store, StoreMember{"e4", false, true}, StoreMember{"e5", false, false})
	}},
	{"store-quorum", Warning, "one member", "", func(f *Facts) { f.Cluster.Store = f.Cluster.Store[:1] }},
	{"store-quorum", Danger, "two members", "third", func(f *Facts) { f.Cluster.Store = f.Cluster.Store[:2] }},
	{"store-quorum", Warning, "4 members", "", func(f *Facts) { f.Cluster.Store = append(f.Cluster.Store, StoreMember{"e4", false, true}) }},
	{"store-quorum", Danger, "store of 2 hosts", "", func(f *Facts) { f.Cluster.Store, f.Expect = nil, 2 }},
	{"store-quorum", Unknown, "not known: no", "", func(f *Facts) { f.Cluster.Store, f.Cluster.StoreErr = nil, "no" }},
	{"disk-space", Danger, "leaves the cluster", "make space", func(f *Facts) { f.Folders[0].Free = 2 }},
	{"disk-space", Danger, "PostgreSQL stops", "diverged", func(f *Facts) { f.Folders[1].Free = 1 << 30 }},
	{"disk-space", Warning, "only with 20% free", "", func(f *Facts) { f.Folders[1].Free = 10 << 30 }},
	{"disk-space", Danger, "1% of the inodes", "", func(f *Facts) { f.Folders[1].FreeNodes, f.Folders[1].AllNode = 1, 100 }},
	{"disk-space", Unknown, "no such", "", func(f *Facts) { f.Folders[0].Err = "no such" }},
	{"file-system", Danger, "in memory (tmpfs)", "", func(f *Facts) { f.Folders[0].FSType = "tmpfs" }},
	{"file-system", Warning, "nfs4", "", func(f *Facts) { f.Folders[1].FSType = "nfs4" }},
	{"file-system", Warning, "root volume", "", func(f *Facts) { f.Folders[1].OnRoot = true }},
	{"fsync", Warning, "12.00 ms in 99 of 100", "10 ms", func(f *Facts) { f.Folders[0].Sync.P99 = 12 * time.Millisecond }},
	{"fsync", Danger, "150.00 ms in 99 of 100", "SSD", func(f *Facts) { f.Folders[0].Sync.P99 = 150 * time.Millisecond }},
	{"fsync", Warning, "30.00 ms in 99 of 100", "every commit", func(f *Facts) { f.Folders[1].Sync.P99 = 30 * time.Millisecond }},
	{"disks-apart", Warning, "shares the disk vdc", "volume of its own", func(f *Facts) { f.Folders[0].Disk = "vdc" }},
	{"cluster", Unknown, "no member of the cluster answers", "", func(f *Facts) {
		f.Cluster = Cluster{Err: "connection refused"}
	}},
	{"cluster", Danger, "no leader", "quorate why", func(f *Facts) { f.Cluster.Leader = "" }},
	{"cluster", Danger, "paused: nobody", "resume", func(f *Facts) { f.Cluster.Leader, f.Cluster.Paused = "", true }},
	{"cluster", Warning, "does not fail over", "resume", func(f *Facts) { f.Cluster.Paused = true }},
	{"members", Warning, "does not answer: refused", "systemctl status", func(f *Facts) { f.Cluster.Members[2].APIErr = "refused" }},
	{"members", Warning, "in the state 'crashed'", "why pg3", func(f *Facts) { f.Cluster.Members[2].State = "crashed" }},
	{"members", Note, "wait for a restart", "restart demo pg2", func(f *Facts) { f.Cluster.Members[1].PendingRestart = true }},
	{"redundancy", Danger, "no standby is ready: the loss", "", func(f *Facts) {
		f.Cluster.Members = f.Cluster.Members[:1]
		f.Cluster.Config.SynchronousMode = dynamic.SyncOff
	}},
	{"redundancy", Danger, "writes wait", "", func(f *Facts) {
		f.Cluster.Config.SynchronousModeStrict = true
		f.Cluster.Members[1].NoFailover, f.Cluster.Members[2].NoFailover = true, true
	}},
	{"redundancy", Warning, "there are no more", "", func(f *Facts) {
		f.Cluster.Config.SynchronousModeStrict, f.Cluster.Config.SynchronousNodeCount = true, 2
	}},
	{"versions", Danger, "15.6: pg1, pg3; 16.1: pg2", "", func(f *Facts) { f.Cluster.Members[1].ServerVersion = 160001 }},
	{"versions", Note, "minor", "switchover", func(f *Facts) { f.Cluster.Members[1].ServerVersion = 150007 }},
	{"versions", Note, "different agents", "", func(f *Facts) { f.Cluster.Members[1].Product = "Quorate/2" }},
	{"logins", Danger, "for replication cannot log in", "host replication replicator", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "replication", User: "replicator", Err: "no pg_hba.conf entry for ..."}}
	}},
	{"logins", Danger, "password authentication failed", "authentication.replication", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "replication", User: "replicator", Err: "password authentication failed"}}
	}},
	{"logins", Danger, "dial error: timeout", "is PostgreSQL running there", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "replication", User: "replicator", Err: "10.0.0.1:5432: dial error: timeout: context deadline exceeded"}}
	}},
	{"logins", Warning, "pg_rewind cannot log in", "host all rewinder", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "rewind", User: "rewinder", Err: "no pg_hba.conf entry for ..."}}
	}},
	{"logins", Unknown, "the superuser postgres cannot", "on that host", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "superuser", User: "postgres", Err: "x"}}
	}},
	{"logins", Warning, "lacks EXECUTE on f", "GRANT", func(f *Facts) {
		f.Cluster.Members[1].Server.Logins = []Login{{Use: "rewind", User: "rewinder", Lacks: []string{"EXECUTE on f"}}}
	}},
	{"reach", Danger, "a firewall", "", func(f *Facts) { f.Reach[0].Result = "filtered" }},
	{"reach", Danger, "no route", "", func(f *Facts) { f.Reach[0].Result, f.Reach[0].Detail = "failed", "no route" }},
	{"reach", Warning, "nobody listens", "", func(f *Facts) { f.Reach[0].Result = "refused" }},
	{"slots", Warning, "has lost its WAL", "reinit", func(f *Facts) {
		f.Cluster.Members[0].Server.Slots = []Slot{{Name: "a", Type: "physical", Status: "lost"}}
	}},
	{"slots", Warning, "has lost its WAL", "subscription", func(f *Facts) {
		f.Cluster.Members[0].Server.Slots = []Slot{{Name: "a", Type: "logical", Status: "lost"}}
	}},
	{"slots", Warning, "about to lose", "", func(f *Facts) { f.Cluster.Members[0].Server.Slots = []Slot{{Name: "a", Status: "unreserved"}} }},
	{"slots", Warning, "holds 5 GB", "pg_drop_replication_slot('a')", func(f *Facts) {
		f.Cluster.Members[0].Server.Slots = []Slot{{Name: "a", Status: "extended", Retained: 5 << 30}}
	}},
	{"slots", Danger, "more than is still free (80 GB)", "", func(f *Facts) {
		f.Cluster.Members[0].Server.Slots = []Slot{{Name: "a", Active: true, Status: "extended", Retained: 90 << 30}}
	}},
	{"archive", Warning, "last at 0001", "", func(f *Facts) {
		f.Cluster.Members[0].Server.ArchiveFailed, f.Cluster.Members[0].Server.ArchiveError = true, "0001"
	}},
	{"configuration", Warning, "ttl: 3 is used", "edit-config", func(f *Facts) { f.Cluster.Wrong = []string{"ttl: 3 is used instead of 1"} }},
	{"contradictions", Danger, "wal_level is minimal", "wal_level=replica", set(0, "wal_level", "minimal")},
	{"contradictions", Warning, "hot_standby is off", "hot_standby=on", set(1, "hot_standby", "off")},
	{"contradictions", Warning, "fills the primary's disk", "max_slot_wal_keep_size=", set(0, "max_slot_wal_keep_size", "-1")},
	{"contradictions", Note, "wal_keep_size is larger", "", set(0, "wal_keep_size", "99999")},
	{"contradictions", Warning, "neither slots nor wal_keep_size", "use_slots", func(f *Facts) { f.Cluster.Config.PostgreSQL.UseSlots = false; set(0, "wal_keep_size", "0")(f) }},
	{"contradictions", Warning, "never noticed", "", set(0, "wal_sender_timeout", "0")},
	{"contradictions", Warning, "smaller than the cluster", "", set(0, "max_wal_senders", "2")},
	{"contradictions", Warning, "without an archive_command", "", set(0, "archive_mode", "on")},
	{"contradictions", Warning, "cluster of one member", "", func(f *Facts) {
		f.Cluster.Members = f.Cluster.Members[:1]
	}},
	{"standby-limits", Danger, "max_connections is 50, and 100", "restart demo pg2", set(1, "max_connections", "50")},
	{"advice", Note, "ttl is 30", "", func(f *Facts) { f.Cluster.Advice = []string{"ttl is 30"} }},
	{"clock-offset", Warning, "at least 7.0 s", "chrony", func(f *Facts) { f.Cluster.Members[1].Clock = &Offset{-8 * time.Second, -7 * time.Second} }},
	{"clock-offset", Note, "at least 1.5 s", "", func(f *Facts) { f.Cluster.Members[1].Clock = &Offset{1500 * time.Millisecond, 2 * time.Second} }},
	{"clock-sync", Warning, "nobody synchronises", "", func(f *Facts) { f.Clock.Synchronised = false }},
	{"clock-sync", Unknown, "does not tell", "", func(f *Facts) { f.Clock.Known = false }},
	{"clock-sync", Warning, "hpet", "", func(f *Facts) { f.Clock.Source = "hpet" }},
	{"clock-sync", Note, "suspended for 1m0s", "", func(f *Facts) { f.Clock.Suspended = time.Minute }},
	{"limits", Warning, "may lock 8 MB", "LimitMEMLOCK", func(f *Facts) { f.Processes[0].MemLock = 8 << 20 }},
	{"limits", Warning, "a hung disk can delay the fence", "LimitMEMLOCK", func(f *Facts) { f.Processes[0].Kind, f.Processes[0].MemLock = "fence", 8<<20 }},
	{"limits", Warning, "1024 files", "LimitNOFILE", func(f *Facts) { f.Processes[0].NoFile = 1024 }},
	{"limits", Danger, "90 of at most 100 tasks", "TasksMax", func(f *Facts) { f.Processes[0].PidsMax, f.Processes[0].PidsNow = 100, 90 }},
	{"limits", Warning, "at most 100 B", "MemoryMax", func(f *Facts) { f.Processes[0].MemoryMax, f.Processes[0].MemoryNow = 100, 95 }},
	{"oom", Note, "agent (process 1): 0", "OOMScoreAdjust", func(f *Facts) { f.Processes[0].OOMScore = 0 }},
	{"cpu", Note, "agent (process 1): 0", "LimitNICE", func(f *Facts) { f.Processes[0].Nice = 0 }},
	{"certificates", Danger, "expired on", "renew", func(f *Facts) { f.Files[0].NotAfter = day0.Add(-time.Hour) }},
	{"certificates", Danger, "expires on", "renew", func(f *Facts) { f.Files[0].NotAfter = day0.Add(48 * time.Hour) }},
	{"certificates", Warning, "expires on", "renew", func(f *Facts) { f.Files[0].NotAfter = day0.AddDate(0, 0, 10) }},
	{"certificates", Danger, "valid from", "clock", func(f *Facts) { f.Files[0].NotBefore = day0.Add(time.Hour) }},
	{"certificates", Danger, "does not verify", "", func(f *Facts) { f.Files[0].ChainErr = "unknown authority" }},
	{"certificates", Danger, "others reach this host as pg1", "subjectAltName", func(f *Facts) { f.Files[0].Wanted, f.Files[0].NameErr = "pg1", "not valid for" }},
	{"certificates", Danger, "no such file", "", func(f *Facts) { f.Files[0].Err = "no such file" }},
	{"certificates", Warning, "mode 0644", "chmod", func(f *Facts) { f.Files[0].KeyMode = 0o644 }},
	{"watchdog", Note, "there is no watchdog", "softdog", func(f *Facts) { f.Watchdog.Mode = "off" }},
	{"watchdog", Warning, "no such device", "", func(f *Facts) { f.Watchdog.Exists = false }},
	{"watchdog", Danger, "may not write", "udev", func(f *Facts) { f.Watchdog.Mode, f.Watchdog.Writable = "required", false }},
	{"kernel", Danger, "does not list", "CONFIG_PROC_CHILDREN", func(f *Facts) { f.Kernel.ListsChildren = false }},
	{"kernel", Danger, "pidfd_open", "5.3", func(f *Facts) { f.Kernel.PIDFD = false }},
	{"kernel", Note, "it is 0", "overcommit", func(f *Facts) { f.Kernel.Overcommit = 0 }},
	{"gather", Unknown, "slots of pg2", "", func(f *Facts) { f.Gone = []string{"the slots of pg2 were not read"} }},
}

func TestEachFaultIsFound(t *testing.T) {
	told := map[string]bool{"gather": true}
	for _, tc := range cases {
		f := sound()
		tc.fault(f)
		r := Diagnose(f)
		told[tc.code] = true
		i := slices.IndexFunc(r.Findings, func(x Finding) bool {
			return x.Code == tc.code && x.Level == tc.level && strings.Contains(x.Text, tc.text) && strings.Contains(x.Remedy, tc.remedy)
		})
		if i < 0 {
			t.Errorf("%s: no finding with %q and %q; there are %+v", tc.code, tc.text, tc.remedy, r.Findings)
		}
		if slices.Contains(r.Fine, tc.code) {
			t.Errorf("%s (%s): the rule found something and is called fine", tc.code, tc.text)
		}
	}
	for _, rule := range Rules() {
		if !told[rule.Code] {
			t.Errorf("rule %s has no case", rule.Code)
		}
	}
}

func TestAPatroniMemberIsToldOf(t *testing.T) {
	f := sound()
	f.Cluster.Members[1].Product, f.Cluster.Members[1].Quorate = "Patroni 3.0.2", false
	r := Diagnose(f)
	if len(r.Findings) != 2 || r.Findings[0].Level != Warning || !strings.Contains(r.Findings[0].Text, "Patroni 3.0.2") {
		t.Errorf("findings: %+v", r.Findings)
	}
}

func TestTheWorstComesFirst(t *testing.T) {
	f := sound()
	f.Kernel.Overcommit = 0                            // a note, of the last rule
	f.Clock.Synchronised = false                       // a warning
	f.Cluster.Store[0].Healthy = false                 // a danger
	set(0, "fsync", "off")(f)                          // the worst danger
	f.Gone = []string{"the archive was not looked at"} // not known
	var got []string
	for _, x := range Diagnose(f).Findings {
		got = append(got, x.Level.String()+" "+x.Code)
	}
	want := []string{"danger unsafe-parameters", "danger store-quorum", "warning clock-sync", "note kernel", "unknown gather"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestNothingKnown is the doctor on a host about which nothing could be found out: it says so, and calls nothing dangerous that it has not seen.
func TestNothingKnown(t *testing.T) {
	r := Diagnose(&Facts{Roles: Roles{true, true, true}, OwnEtcd: true, Kernel: Kernel{PIDFD: true, ListsChildren: true, Overcommit: -1}, Cluster: Cluster{Err: "x"}})
	if r.Count(Danger) > 0 || r.Count(Warning) > 0 {
		t.Errorf("findings: %+v", r.Findings)
	}
}
