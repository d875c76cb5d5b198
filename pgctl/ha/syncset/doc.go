// Package syncset plans synchronous replication. It answers one question for the primary: given what PostgreSQL, the store and
// the members show, what is the one next safe step towards what should be, or is there nothing to do? It is pure: Next is a
// function of State, keeps nothing between two calls, and an interrupted sequence is simply planned again from what is there.
//
// Two places must agree and cannot change together. synchronous_standby_names in the primary decides which standbys confirm a
// commit before the client hears of it. The sync key in the store decides who may be elected when the primary is gone. The
// invariant (I3 of docs/invariants.md) between them:
//
//	Every set of standbys that could have confirmed an acknowledged commit has a member in every set that can elect.
//
// A commit under "k of M" is held by at least k of M. The key's voters V with quorum q elect with q+1 voters, of which the
// winner is one or which the winner is not behind. So the invariant says: no more than q of V may lack any acknowledged commit.
// Mode on is the case q = 0: every voter has everything, and each alone may be promoted. The arithmetic is in safe.go; that a
// commit acknowledged under earlier names counts as well, until those who lack it have flushed past it, is there too.
//
// From this follow the orders that Patroni's manual gives (replication modes): to add a standby in mode on, first the names,
// then wait until it has caught up, then the key; to remove one, first the key, then the names; in mode quorum a new voter comes
// to the key first, with a higher quorum, and a voter that goes leaves the names first.
//
// # What the invariant needs from outside
//
//   - Commits wait for a flush: synchronous_commit is on or remote_apply. A session that lowers it has no promise.
//   - State.Since says from where on State.InEffect is what all processes use. A walsender that has not reloaded releases commits by
//     the old list, and until the checkpointer has reloaded the change from no names to some has no effect at all. Next also waits
//     for the rows of pg_stat_replication to agree, as far as they can show it.
//   - State.Key was read back from the store after the last write whose outcome is known, and writes compare its revision.
//   - A primary that lost its lease acknowledges nothing more (the fence), or cannot (the standbys' pledges).
package syncset
