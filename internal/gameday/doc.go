// Package gameday breaks a cluster in service on purpose, one fault after the other, and says what its clients saw of each: how long no commit
// was acknowledged, whether one that was is gone, and how long the cluster took to be whole again. It begins only on a cluster that is
// whole, goes on only when it is so again, and leaves nothing behind: its table is dropped, and the lead goes back to where it was.
package gameday
