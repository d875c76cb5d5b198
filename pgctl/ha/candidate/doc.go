// Package candidate orders those who could lead. Race answers for one member, at the moment when nobody leads, whether it may
// take the lead, and if not, whom it waits for and why. Best picks the target of a switchover while the leader still leads. Both
// are pure.
//
// The rules are Patroni's (its function is_healthiest_node and what surrounds it). A "no" to any of them ends the race:
//
//	row 2   paused: only a running primary, or the candidate of a manual failover
//	row 3   PostgreSQL must run
//	row 4   a running primary goes, though its tags forbid a promotion
//	row 5   nofailover forbids, and without it a failover_priority of 0
//	row 6   manual failover and switchover
//	row 7   a watchdog that is required must work
//	row 8   the failsafe list, when there is one, must name the member
//	row 9   mode on: the member must be in the sync key
//	row 10  maximum_lag_on_failover
//	row 11  check_timeline
//	row 12  the other members: no primary among them, nobody ahead, nobody level with a higher failover_priority
//	row 13  mode quorum: enough voters are not ahead
//
// These holes of Patroni's are closed:
//
//	hole 3   A primary that runs without a leader key asks the others like everybody else. Patroni's takes the lead at once, so
//	         that one which was frozen and thaws comes before a newer primary (patroni PR 2787).
//	hole 10  Timelines count before positions. The log of an older timeline behind the point where the newer one began counts
//	         for nothing, however long it is (patroni issue 890).
//	hole 11  After an outage of all hosts the first to be back waits for those that may hold newer data (patroni issues 2175,
//	         2676), as long as Input.Patient; not when the sync key or the orderly end of the last term proves that it has all.
//
// Further, timelines are compared by their history and not by their number, because two isolated promotions take the same
// number: a member that does not fit the history in the store is out, and between two that it cannot tell apart an operator
// chooses. And a member whose data the sync key vouches for is not held back by rows 10 and 11: what it lacks was acknowledged to
// nobody.
//
// Positions are to be read after the pledge: a standby that has promised to stream from no older term and has stopped its WAL
// receiver does not move any more, and does not confirm commits to a primary that comes back.
package candidate
