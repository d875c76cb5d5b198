// Package wal is the Raft log on disk: entries, and beside them the few values that Raft keeps (term, vote), in one file that only grows, with one
// sync for each write.
//
// # Format
//
// A log is a folder of segments, NUMBER.wal in sixteen hexadecimal digits, without a gap in their numbers. A segment is a file of fixed size, filled
// before it is used, so that a sync has no metadata to write, and holds frames one after another:
//
//	crc32c u32 | magic u32 | length u32 | kind u32 | sequence u64 | payload | zeros up to a multiple of 8
//
// Numbers are little-endian. The checksum covers the log's id and the segment's number too: what an older segment or another log left in a file that is used
// again is no frame. Sequence numbers rise by one from frame to frame, over the segments. The first frame of a segment, its head, repeats what the log
// held when it began: the log's id, the bounds of the entries, all values. So older segments can go as soon as no entry in them is needed. The last frame of
// a segment that is not the last, its seal, names the next.
//
// # What a crash leaves
//
// A frame is synced before the next is written, so a crash can damage only the last one, and then nobody was told that it was written. Opening drops it. A
// damaged frame with a whole one behind it, a segment that is missing or one that is another log's are no crash: opening refuses (ErrDamaged), names the
// file and changes nothing. Opening syncs what it found: a killed process may have left frames that only the page cache has.
//
// A write that failed may or may not be found when the log is opened again. Until then it did not happen: the next write takes its place.
package wal
