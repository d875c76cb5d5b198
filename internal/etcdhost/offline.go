package etcdhost

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"quorate/raftstore"
)

// SnapshotStatus reads what a snapshot file holds.
func SnapshotStatus(file string) (raftstore.SnapshotStatus, error) {
	return raftstore.ReadSnapshotStatus(file)
}

// Restore makes a store folder from a snapshot file: that of a cluster of one, which will be reached at addr (host:port).
func Restore(dir, addr, file string, skipHash bool) error {
	o := raftstore.Options{Dir: dir, Name: "restored", Listen: addr, Advertise: addr}
	if skipHash {
		return raftstore.RestoreDatabase(o, file)
	}
	return raftstore.RestoreSnapshot(o, file)
}

// Survivor is a member that is left when the quorum is lost.
type Survivor struct {
	ID   uint64
	Addr string // host:port of the peer port
}

// ParseSurvivor reads id@host:port, with the id as `member list` shows it.
func ParseSurvivor(s string) (Survivor, error) {
	id, addr, ok := strings.Cut(s, "@")
	n, err := strconv.ParseUint(id, 16, 64)
	if _, _, splitErr := net.SplitHostPort(addr); !ok || err != nil || splitErr != nil {
		return Survivor{}, fmt.Errorf("survivor %q: expected ID@HOST:PORT, as 3f2a@10.0.0.1:2380", s)
	}
	return Survivor{ID: n, Addr: addr}, nil
}

// Self is the member of a folder.
func Self(dir string) (Survivor, error) {
	f, err := raftstore.ReadFolder(dir)
	return Survivor{ID: f.ID, Addr: f.PeerAddr}, err
}

// Recover makes a cluster of the survivors. The folder must not be in use.
func Recover(dir string, survivors []Survivor) error {
	self, err := Self(dir)
	if err != nil {
		return err
	}
	var list []raftstore.Member
	for _, s := range survivors {
		list = append(list, raftstore.Member{ID: s.ID, PeerAddr: s.Addr})
	}
	return raftstore.RecoverQuorumLost(raftstore.Options{Dir: dir, Name: "recovering", Listen: self.Addr}, list)
}
