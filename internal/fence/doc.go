// Package fence is the small process that stands between a lost lease and a second writable primary.
//
// `quorate fence` is the parent of the postmaster. The agent (`quorate run`) tells it how long the lease is good for; the
// fence kills every process of the instance when that moment has come, whatever has become of the agent: killed, frozen,
// upgraded or merely slow. It decides nothing else and asks nobody.
//
//	agent ──(unix socket, JSON lines)──> fence ──fork──> postmaster ──fork──> backends
//	  renews the lease, sends {term, deadline}    timerfd on CLOCK_BOOTTIME
//
// Rules (docs/invariants.md, I1 and I2):
//
//   - A postmaster that may become writable is started or promoted only while a deadline lies ahead.
//   - Terms and deadlines only rise. A term that has fired is never taken again.
//   - To fence is to kill all: the postmaster is stopped so that it cannot fork, its children are killed, then itself.
//     Backends outlive a killed postmaster and could still acknowledge a commit. The fence is a child subreaper, so that
//     orphans come to it and are killed too; nothing is started before all have gone.
//   - The path from the timer to the kill takes no lock, opens no file, writes no log and allocates nothing.
//   - If the fence itself dies, the kernel sends the postmaster SIGQUIT (parent-death signal): an immediate shutdown, which
//     takes the backends along, as SIGKILL would not.
//   - postmaster.pid is never removed by us: it is PostgreSQL's own guard.
package fence
