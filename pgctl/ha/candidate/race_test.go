package candidate

import (
	"testing"

	"quorate/pgctl/ha/syncset"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

var term = dcs.Term{Cluster: 7, Rev: 40}

// standby is a healthy member of timeline 2 which has pledged.
func standby(name string, lsn postgres.LSN) Member {
	return Member{
		Name: name, Reachable: true, Running: true, SystemID: "1", Timeline: 2, Switches: []postgres.Switch{{Timeline: 1, End: 50}},
		FlushLSN: lsn, ReplayLSN: lsn - 1, Priority: 1, Pledged: term, CanPledge: true,
	}
}

// input is a race that b wins: the leader a is gone, c and d are level with b.
func input() Input {
	return Input{
		Self:     standby("b", 100),
		Others:   []Member{{Name: "a"}, standby("c", 100), standby("d", 100)},
		SystemID: "1", LastLeader: "a", Term: term, Target: term, History: []dcs.HistoryLine{{Timeline: 1, LSN: 50}}, Optime: 105,
		Settings: Settings{MaxLag: 10, CheckTimeline: true}, Patient: true,
	}
}

// older puts a member on timeline 1.
func older(m *Member, lsn postgres.LSN) {
	m.Timeline, m.Switches, m.FlushLSN, m.ReplayLSN = 1, nil, lsn, lsn
}

func syncKey(in *Input, mode syncset.Mode, quorum int, voters ...string) {
	in.Mode, in.KeyExists, in.Key = mode, true, syncset.Key{Leader: "a", Quorum: quorum, Voters: voters}
}

// raceCases are one or more cases for each rule. Rows and holes are those of the package comment.
var raceCases = []struct {
	name   string
	change func(*Input)
	goes   bool
	wait   string
	reason string
}{
	{"level with the others", func(*Input) {}, true, "", "no reachable member is ahead"},
	{"alone", func(in *Input) { in.Others = nil }, true, "", "no reachable member is ahead"},

	{"row 2: paused", func(in *Input) { in.Settings.Paused = true }, false, "", "the cluster is paused"},
	{"row 2: paused, running primary", func(in *Input) { in.Settings.Paused, in.Self.Primary = true, true }, true, "", "no reachable member is ahead"},
	{"row 2: paused, another system", func(in *Input) { in.Settings.Paused, in.Self.Primary, in.Self.SystemID = true, true, "2" }, false, "", "my system identifier 2 is not the cluster's, 1"},
	{"row 2: paused, named", func(in *Input) { in.Settings.Paused, in.Manual.Candidate = true, "b" }, true, "", "an operator asked for a failover to me"},

	{"ahead, but not in the failsafe list: it may not lead", func(in *Input) {
		in.Others[1].FlushLSN, in.Failsafe = 120, []string{"a", "b", "d"}
	}, true, "", "no reachable member is ahead"},
	{"ahead, and in the failsafe list", func(in *Input) {
		in.Others[1].FlushLSN, in.Failsafe = 120, []string{"a", "b", "c"}
	}, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/78, i am at 2:0/64"},
	{"quorum: ahead by what nobody was told is committed, and without a vote", func(in *Input) {
		syncKey(in, syncset.Quorum, 0)
		in.Key.Leader, in.Others[1].FlushLSN = "b", 120
	}, true, "", "no reachable member is ahead"},
	{"row 3: does not run", func(in *Input) { in.Self.Running = false }, false, "", "my PostgreSQL does not run"},

	{"row 4, hole 3: primary beside a newer primary", func(in *Input) {
		in.Self.Primary, in.Others[1].Primary = true, true
		in.History = nil
		older(&in.Self, 500)
	}, false, "c", "Primary (c) is still alive"},
	{"row 4, hole 3: primary beside an older primary", func(in *Input) {
		in.Self.Primary, in.Others[1].Primary = true, true
		older(&in.Others[1], 500)
	}, true, "", "no reachable member is ahead"},
	{"row 4, hole 3: thawed primary, a standby has gone on", func(in *Input) {
		in.Self.Primary = true
		older(&in.Self, 500)
		in.History = nil
	}, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/64, i am at 1:0/1F4"},
	{"row 4, hole 3: primary beside a stray primary", func(in *Input) {
		in.Self.Primary, in.Others[1].Primary, in.Others[1].FlushLSN = true, true, 500
		in.Others[1].Switches = []postgres.Switch{{Timeline: 1, End: 60}}
	}, true, "", "no reachable member is ahead"},
	{"row 4: primary that cannot pledge its own term away", func(in *Input) { in.Self.Primary, in.Self.Pledged = true, dcs.Term{} }, true, "", "no reachable member is ahead"},
	{"row 4: a standby of higher priority does not replace it", func(in *Input) { in.Self.Primary, in.Others[1].Priority = true, 2 }, true, "", "no reachable member is ahead"},
	{"row 4: primary behind the history", func(in *Input) {
		in.Self.Primary, in.Others = true, nil
		older(&in.Self, 500)
	}, false, "", "My timeline 1 is behind last known cluster timeline 2"},
	{"row 4: primary that may not be promoted leads on", func(in *Input) { in.Self.Primary, in.Self.NoFailover = true, true }, true, "", "no reachable member is ahead"},

	{"row 5: nofailover", func(in *Input) { in.Self.NoFailover = true }, false, "", "i am not allowed to promote"},
	{"row 5: priority 0 and nofailover: false", func(in *Input) {
		in.Self.Priority = 0
		for i := range in.Others {
			in.Others[i].Priority = 0
		}
	}, true, "", "no reachable member is ahead"},
	{"row 5: nofailover, named", func(in *Input) { in.Self.NoFailover, in.Manual.Candidate = true, "b" }, false, "", "i am not allowed to promote"},

	{"row 6: failover to me, far behind and not synchronous", func(in *Input) {
		in.Manual.Candidate, in.Optime = "b", 5000
		syncKey(in, syncset.On, 0, "c")
	}, true, "", "an operator asked for a failover to me"},
	{"row 6: failover to me, a primary is alive", func(in *Input) { in.Manual.Candidate, in.Others[1].Primary = "b", true }, false, "c", "Primary (c) is still alive"},
	{"row 6: failover to another, behind", func(in *Input) { in.Manual.Candidate, in.Others[1].FlushLSN = "c", 20 }, false, "c", "c is the candidate that an operator named"},
	{"row 6: failover to another, not synchronous", func(in *Input) {
		in.Manual.Candidate = "c"
		syncKey(in, syncset.On, 0, "b")
	}, false, "c", "c is the candidate that an operator named"},
	{"row 6: failover to another that is down", func(in *Input) { in.Manual.Candidate, in.Others[1].Running = "c", false }, true, "", "no reachable member is ahead"},
	{"row 6: failover to another that does not come", func(in *Input) { in.Manual.Candidate, in.Patient = "c", false }, true, "", "no reachable member is ahead"},
	{"row 6: the lag counts for the rest", func(in *Input) { in.Manual.Candidate, in.Optime = "a", 5000 }, false, "", "My wal position exceeds maximum replication lag: it is 4900 bytes behind the last leader's"},
	{"row 6: switchover to another", func(in *Input) { in.Manual = Manual{"a", "c"} }, false, "c", "c is the candidate that an operator named"},
	{"row 6: switchover to another that fell behind", func(in *Input) { in.Manual, in.Others[1].FlushLSN = Manual{"a", "c"}, 90 }, true, "", "no reachable member is ahead"},
	{"row 6: switchover to me, another is ahead", func(in *Input) { in.Manual, in.Others[1].FlushLSN = Manual{"a", "b"}, 101 }, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/65, i am at 2:0/64"},
	{"row 6: switchover to me, not synchronous", func(in *Input) {
		in.Manual = Manual{"a", "b"}
		syncKey(in, syncset.On, 0, "c")
	}, false, "", "i may lack acknowledged commits: not in the sync key (a, or 1 of (c))"},
	{"row 6: switchover away from me", func(in *Input) { in.Manual = Manual{"b", ""} }, false, "c", "an operator asked for another leader than me"},
	{"row 6: switchover away from me, nobody comes", func(in *Input) { in.Manual, in.Patient = Manual{"b", ""}, false }, true, "", "no reachable member is ahead"},
	{"row 6: switchover away from me, all others behind", func(in *Input) {
		in.Manual, in.Others[1].FlushLSN, in.Others[2].FlushLSN = Manual{"b", ""}, 90, 90
	}, true, "", "no reachable member is ahead"},

	{"row 7: watchdog", func(in *Input) { in.Settings.WatchdogRequired, in.Self.WatchdogFailed = true, true }, false, "", "Watchdog device is not usable"},
	{"row 7: watchdog not required", func(in *Input) { in.Self.WatchdogFailed = true }, true, "", "no reachable member is ahead"},

	{"row 8: not in the failsafe list", func(in *Input) { in.Failsafe = []string{"a", "c"} }, false, "", "i am not in the failsafe list"},
	{"row 8: in the failsafe list", func(in *Input) { in.Failsafe = []string{"a", "b"} }, true, "", "no reachable member is ahead"},

	{"row 9: synchronous", func(in *Input) { syncKey(in, syncset.On, 0, "b") }, true, "", "no reachable member is ahead"},
	{"row 9: not synchronous", func(in *Input) { syncKey(in, syncset.On, 0, "c") }, false, "", "i may lack acknowledged commits: not in the sync key (a, or 1 of (c))"},
	{"row 9: nobody is", func(in *Input) { syncKey(in, syncset.On, 0) }, false, "", "i may lack acknowledged commits: only a has every acknowledged commit"},
	{"row 9: the old leader itself", func(in *Input) {
		syncKey(in, syncset.On, 0, "c")
		in.Self.Name, in.Others = "a", in.Others[1:]
	}, true, "", "no reachable member is ahead"},

	{"row 10: lag", func(in *Input) { in.Optime = 111 }, false, "", "My wal position exceeds maximum replication lag: it is 11 bytes behind the last leader's"},
	{"row 10: lag at the limit", func(in *Input) { in.Optime = 110 }, true, "", "no reachable member is ahead"},
	{"row 10: replayed from the archive", func(in *Input) { in.Optime, in.Self.ReplayLSN = 111, 101 }, true, "", "no reachable member is ahead"},
	{"row 10: lag behind an orderly end", func(in *Input) { in.Released = &dcs.Released{Term: term, LSN: 111} }, false, "", "My wal position exceeds maximum replication lag: it is 11 bytes behind the last leader's"},
	{"row 10: synchronous, nothing acknowledged is missing", func(in *Input) {
		in.Optime = 5000
		syncKey(in, syncset.On, 0, "b")
	}, true, "", "no reachable member is ahead"},

	{"row 11: older timeline", func(in *Input) { older(&in.Self, 40); in.Others, in.Optime = nil, 45 }, false, "", "My timeline 1 is behind last known cluster timeline 2"},
	{"row 11: older timeline, not checked, before the fork", func(in *Input) {
		older(&in.Self, 50)
		in.Others, in.Settings.CheckTimeline, in.Optime = nil, false, 55
	}, true, "", "no reachable member is ahead"},
	{"row 11, hole 10: older timeline, not checked, beyond the fork", func(in *Input) {
		older(&in.Self, 500)
		in.Others, in.Settings.CheckTimeline = nil, false
	}, false, "", "my timeline 1 ended at 0/32 for the cluster, and my log goes on to 0/1F4"},
	{"row 11, hole 10: older timeline, not checked, longer than a newer one", func(in *Input) {
		older(&in.Self, 500)
		in.Settings.CheckTimeline, in.History = false, nil
	}, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/64, i am at 1:0/1F4"},
	{"row 11, hole 10: a longer log on an older timeline does not hold me back", func(in *Input) { older(&in.Others[1], 500) }, true, "", "no reachable member is ahead"},
	{"row 11: standby cluster", func(in *Input) { older(&in.Self, 100); in.Others, in.Settings.StandbyCluster = nil, true }, true, "", "no reachable member is ahead"},
	{"row 11: the new leader fell before anybody followed, the key vouches", func(in *Input) {
		older(&in.Self, 100)
		in.Others = nil
		syncKey(in, syncset.On, 0, "b")
	}, true, "", "no reachable member is ahead"},
	{"timelines of one number with other ends", func(in *Input) { in.Self.Switches = []postgres.Switch{{Timeline: 1, End: 49}} }, false, "", "my data has left the cluster's history: its timeline 1 ended at 0/31, the cluster's at 0/32"},
	{"a timeline that skips the cluster's", func(in *Input) {
		in.Self.Timeline = 4
		in.History = append(in.History, dcs.HistoryLine{Timeline: 2, LSN: 90})
	}, false, "", "my data has left the cluster's history: its timeline 4 did not come from the cluster's timeline 2"},
	{"a stray of the same number does not hold me back", func(in *Input) {
		in.Others[1].Switches, in.Others[1].FlushLSN = []postgres.Switch{{Timeline: 1, End: 60}}, 500
	}, true, "", "no reachable member is ahead"},
	{"two histories, and the store knows neither", func(in *Input) {
		in.Others[1].Switches, in.History = []postgres.Switch{{Timeline: 1, End: 60}}, nil
	}, false, "c", "c and i have different histories of which the cluster knows neither: an operator must choose by a failover"},
	{"a newer timeline that did not come from mine", func(in *Input) {
		in.Others[1].Timeline, in.Others[1].Switches = 3, []postgres.Switch{{Timeline: 1, End: 60}}
		in.History = nil
	}, false, "c", "c and i have different histories of which the cluster knows neither: an operator must choose by a failover"},

	{"a newer timeline that came from another 2 than mine", func(in *Input) {
		in.Others[1].Timeline, in.Others[1].Switches = 3, []postgres.Switch{{Timeline: 1, End: 60}, {Timeline: 2, End: 90}}
		in.History = nil
	}, false, "c", "c and i have different histories of which the cluster knows neither: an operator must choose by a failover"},
	{"a newer timeline that came from mine", func(in *Input) {
		in.Others[1].Timeline, in.Others[1].Switches = 3, []postgres.Switch{{Timeline: 1, End: 50}, {Timeline: 2, End: 90}}
	}, false, "c", "Wal position of c is ahead of my wal position: it is at 3:0/64, i am at 2:0/64"},
	{"a newer timeline that does not tell its history", func(in *Input) { in.Others[1].Timeline, in.Others[1].Switches = 3, nil }, false, "c", "Wal position of c is ahead of my wal position: it is at 3:0/64, i am at 2:0/64"},
	{"one that does not know its timeline", func(in *Input) { in.Others[1].Timeline, in.Others[1].Switches = 0, nil }, true, "", "no reachable member is ahead"},

	{"row 12: a primary is alive", func(in *Input) { in.Others[1].Primary = true }, false, "c", "Primary (c) is still alive"},
	{"row 12: a primary of another cluster", func(in *Input) { in.Others[1].Primary, in.Others[1].SystemID = true, "2" }, true, "", "no reachable member is ahead"},
	{"row 12: another is ahead", func(in *Input) { in.Others[1].FlushLSN = 101 }, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/65, i am at 2:0/64"},
	{"row 12: another is ahead, even when patience ends", func(in *Input) { in.Others[1].FlushLSN, in.Patient = 101, false }, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/65, i am at 2:0/64"},
	{"row 12: ahead but unreachable", func(in *Input) { in.Others[1].FlushLSN, in.Others[1].Reachable = 101, false }, true, "", "no reachable member is ahead"},
	{"row 12: ahead but nofailover", func(in *Input) { in.Others[1].FlushLSN, in.Others[1].NoFailover = 101, true }, true, "", "no reachable member is ahead"},
	{"row 12: ahead but without watchdog", func(in *Input) { in.Others[1].FlushLSN, in.Others[1].WatchdogFailed = 101, true }, true, "", "no reachable member is ahead"},
	{"row 12: ahead but down", func(in *Input) { in.Others[1].FlushLSN, in.Others[1].Running = 101, false }, true, "", "no reachable member is ahead"},
	{"row 12: ahead but of another cluster", func(in *Input) { in.Others[1].FlushLSN, in.Others[1].SystemID = 101, "2" }, true, "", "no reachable member is ahead"},
	{"row 12: ahead but not synchronous", func(in *Input) {
		in.Others[1].FlushLSN = 101
		syncKey(in, syncset.On, 0, "b")
	}, true, "", "no reachable member is ahead"},
	{"row 12: ahead and synchronous", func(in *Input) {
		in.Others[1].FlushLSN = 101
		syncKey(in, syncset.On, 0, "b", "c")
	}, false, "c", "Wal position of c is ahead of my wal position: it is at 2:0/65, i am at 2:0/64"},
	{"row 12: the former synchronous leader is ahead", func(in *Input) {
		in.Others[0] = standby("a", 101)
		syncKey(in, syncset.On, 0, "b")
	}, true, "", "no reachable member is ahead"},
	{"row 12: the former leader of mode quorum is ahead", func(in *Input) {
		in.Others[0] = standby("a", 101)
		syncKey(in, syncset.Quorum, 1, "b", "c")
	}, true, "", "no reachable member is ahead"},
	{"row 12: the former asynchronous leader is ahead", func(in *Input) { in.Others[0] = standby("a", 101) }, false, "a", "Wal position of a is ahead of my wal position: it is at 2:0/65, i am at 2:0/64"},
	{"row 12: higher priority", func(in *Input) { in.Others[1].Priority = 2 }, false, "c", "c has equally tolerable WAL position and priority 2, while this node has priority 1"},
	{"row 12: higher priority that does not come", func(in *Input) { in.Others[1].Priority, in.Patient = 2, false }, true, "", "no reachable member is ahead"},
	{"row 12: higher priority but behind", func(in *Input) { in.Others[1].Priority, in.Others[1].FlushLSN = 2, 99 }, true, "", "no reachable member is ahead"},
	{"row 12: higher priority of the former leader", func(in *Input) { in.Others[0] = standby("a", 100); in.Others[0].Priority = 2 }, true, "", "no reachable member is ahead"},

	{"row 13: votes", func(in *Input) { syncKey(in, syncset.Quorum, 2, "b", "c", "d") }, true, "", "no reachable member is ahead"},
	{"row 13: a vote is missing", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].Reachable = false
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: one that has not pledged has no vote", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].Pledged.Rev--
	}, false, "d", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: one of another cluster has no vote", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].SystemID = "2"
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: one whose position is not known has no vote", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].Timeline = 0
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: one that is down has no vote, where its log ends is not known", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].Running = false
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: another primary has no vote", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Self.Primary, in.Others[2].Primary = true, true
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [d], ahead: [])"},
	{"row 13: one that cannot pledge has one", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].Pledged, in.Others[2].CanPledge = dcs.Term{}, false
	}, true, "", "no reachable member is ahead"},
	{"row 13: nofailover votes", func(in *Input) {
		syncKey(in, syncset.Quorum, 2, "b", "c", "d")
		in.Others[2].NoFailover = true
	}, true, "", "no reachable member is ahead"},
	{"row 13: no voter needs one more", func(in *Input) { syncKey(in, syncset.Quorum, 1, "c", "d") }, true, "", "no reachable member is ahead"},
	{"row 13: no voter, one is missing", func(in *Input) {
		syncKey(in, syncset.Quorum, 1, "c", "d")
		in.Others[1].Reachable = false
	}, false, "", "i may lack acknowledged commits: 1 of 2 votes (not reached: [c], ahead: [])"},

	{"pledge: i have not", func(in *Input) { in.Self.Pledged = dcs.Term{} }, false, "", "i have still to pledge that i follow nobody of terms up to 7/40"},
	{"pledge: of another store", func(in *Input) { in.Self.Pledged.Cluster = 8 }, false, "", "i have still to pledge that i follow nobody of terms up to 7/40"},
	{"pledge: a later one", func(in *Input) { in.Self.Pledged.Rev++ }, true, "", "no reachable member is ahead"},
	{"pledge: there was no term", func(in *Input) { in.Self.Pledged, in.Target = dcs.Term{}, dcs.Term{} }, true, "", "no reachable member is ahead"},

	{"handed over to another", func(in *Input) { in.Released = &dcs.Released{Term: term, To: "c", LSN: 100} }, false, "c", "c is the one that the lead was handed to"},
	{"handed over to another that does not come", func(in *Input) {
		in.Released, in.Patient = &dcs.Released{Term: term, To: "c", LSN: 100}, false
	}, true, "", "no reachable member is ahead"},
	{"handed over to another in an earlier term", func(in *Input) {
		in.Released = &dcs.Released{Term: dcs.Term{Cluster: 7, Rev: 39}, To: "c", LSN: 100}
	}, true, "", "no reachable member is ahead"},
	{"handed over to me", func(in *Input) { in.Released = &dcs.Released{Term: term, To: "b", LSN: 100} }, true, "", "no reachable member is ahead"},

	{"hole 11: first back after an outage", func(in *Input) { in.Outage = true }, false, "a", "a may hold newer data and has not come back yet"},
	{"hole 11: any other host is missing", func(in *Input) {
		in.Outage, in.Others[0], in.Others[2].Reachable = true, standby("a", 100), false
	}, false, "d", "d may hold newer data and has not come back yet"},
	{"hole 11: the last leader is named first", func(in *Input) {
		in.Outage, in.LastLeader, in.Others[2].Reachable = true, "d", false
	}, false, "d", "d may hold newer data and has not come back yet"},
	{"hole 11: all are back", func(in *Input) { in.Outage, in.Others[0] = true, standby("a", 100) }, true, "", "no reachable member is ahead"},
	{"hole 11: newer data on a host whose PostgreSQL does not run yet", func(in *Input) {
		in.Outage, in.Others[0] = true, standby("a", 101)
		in.Others[0].Running = false
	}, false, "a", "a may hold newer data and is not up yet"},
	{"hole 11: older data on it, as far as its control file knows", func(in *Input) {
		in.Outage, in.Others[0] = true, standby("a", 99)
		in.Others[0].Running = false
	}, false, "a", "a may hold newer data and is not up yet"},
	{"hole 11: patience ends", func(in *Input) { in.Outage, in.Patient = true, false }, true, "", "no reachable member is ahead"},
	{"hole 11: the last term ended in order, i have all of it", func(in *Input) {
		in.Outage, in.Released = true, &dcs.Released{Term: term, LSN: 100}
	}, true, "", "no reachable member is ahead"},
	{"hole 11: the last term ended in order, i lack some", func(in *Input) {
		in.Outage, in.Released = true, &dcs.Released{Term: term, LSN: 101}
	}, false, "a", "a may hold newer data and has not come back yet"},
	{"hole 11: the last term ended in order on another timeline than mine", func(in *Input) {
		older(&in.Self, 50)
		in.Outage, in.Settings.CheckTimeline, in.Optime, in.Released = true, false, 50, &dcs.Released{Term: term, LSN: 50}
	}, false, "a", "a may hold newer data and has not come back yet"},
	{"hole 11: the key vouches", func(in *Input) {
		in.Outage = true
		syncKey(in, syncset.On, 0, "b")
	}, true, "", "no reachable member is ahead"},
}

func TestRace(t *testing.T) {
	for _, c := range raceCases {
		t.Run(c.name, func(t *testing.T) {
			in := input()
			c.change(&in)
			if got, want := Race(in), (Verdict{c.goes, c.wait, c.reason}); got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
