// Package relay carries bytes between pairs of sockets: the pass-through phase of the router's sessions.
//
// A pair of goroutines for each session would do the same in a page of code, and cost two stacks and two buffers for each of
// ten thousand idle sessions. Here a session is a Flow of a few hundred bytes, and a few loops, one per core, serve all of
// them by epoll (edge triggered). A loop reads into a buffer of its own and writes at once; only what a slow receiver does not take
// is kept, at most one buffer's worth a direction, and no more is read until it has gone. While a direction carries bulk the
// kernel moves its bytes itself (splice), through a pipe that is given back as soon as the flow pauses.
//
//	          Start            both ended, or one lost           closed
//	(owner) --------> passing ------------------------> silent ---------> gone
//	                     \--- End ---> parting (the client reads its last message) ---/
//
// A loop holds neither a thread nor a processor while it waits: its epoll set is watched by Go's own poller, in which a loop parks like a
// goroutine that reads from a socket. (Waiting in epoll_wait itself, even for a fraction of a millisecond, costs more than it saves: the
// scheduler's monitor wakes up every 20 us to take the processor back.)
package relay
