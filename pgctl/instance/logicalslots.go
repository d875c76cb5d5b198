package instance

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"quorate/pgctl/postgres"
)

// Permanent logical slots before version 17, where PostgreSQL does not carry them to its standbys. A slot is a file, pg_replslot/NAME/state, that the
// server reads when it starts and that is alike on all members (version, byte order and data are). It holds where the consumer is and which catalog
// rows its decoding needs. From then on the standby moves its copy by pg_replication_slot_advance, and by hot_standby_feedback the primary keeps the
// catalog rows that the copy needs.

// RemoteSlot is a logical slot of the primary as it can be copied.
type RemoteSlot struct {
	Name        string
	Restart     postgres.LSN // the log that its decoding needs
	CatalogXmin uint32
	state       []byte
}

// SourceSlots are logical slots of a server that takes writes, by the rewind account, which may read the files of the data folder, and the catalog_xmin
// of the physical slot by which this standby streams (0: it has sent no feedback yet). Slots that are not there, or have lost their log, are left out.
func (i *Instance) SourceSlots(ctx context.Context, host string, port int, own string, names []string) (slots []RemoteSlot, feedback uint32, err error) {
	s, err := i.dial(ctx, target{host: host, port: port, account: i.accounts().Rewind, database: i.settings().Database, app: appName})
	if err != nil {
		return nil, 0, fmt.Errorf("reading the slots of %s:%d: %w", host, port, err)
	}
	defer s.close()
	list := make([]string, 0, len(names)+1)
	for _, n := range append(slices.Clone(names), own) {
		list = append(list, literal(n))
	}
	rows, err := s.rows(ctx, `SELECT slot_name, restart_lsn, catalog_xmin, CASE WHEN slot_type = 'logical'
 THEN pg_catalog.encode(pg_catalog.pg_read_binary_file('pg_replslot/' || slot_name || '/state'), 'hex') END
 FROM pg_catalog.pg_get_replication_slots() WHERE NOT pg_catalog.pg_is_in_recovery() AND restart_lsn IS NOT NULL AND coalesce(wal_status, '') <> 'lost'
 AND slot_name IN (`+strings.Join(list, ", ")+`)`)
	if err != nil {
		return nil, 0, fmt.Errorf("reading the slots of %s:%d: %w", host, port, err)
	}
	for _, r := range rows {
		xmin, _ := strconv.ParseUint(r[2], 10, 32)
		if r[0] == own {
			feedback = uint32(xmin)
			continue
		}
		lsn, errLSN := postgres.ParseLSN(r[1])
		state, errHex := hex.DecodeString(r[3])
		if err := errors.Join(errLSN, errHex); err != nil || len(state) == 0 {
			return nil, 0, fmt.Errorf("slot %s of %s:%d cannot be read: %w", r[0], host, port, err)
		}
		slots = append(slots, RemoteSlot{Name: r[0], Restart: lsn, CatalogXmin: uint32(xmin), state: state})
	}
	return slots, feedback, nil
}

// fetchedPrefix is that of segments on their way. PostgreSQL ignores files of such a name and removes them at its start (xlog.c, RemoveTempXlogFiles).
const fetchedPrefix = "xlogtemp.quorate."

// SlotCopy is what PlaceSlots puts in place.
type SlotCopy struct {
	Slots    []RemoteSlot
	TooOld   []string // slots whose log this server has not, and cannot get
	segments []string // fetched, under fetchedPrefix
}

// PrepareSlots finds out which of the slots this server can carry: it needs the log from where they begin, without a gap up to its own. What it has
// no longer, as after a new copy of the data folder, comes from the primary, by the rewind account, unless it is much.
func (i *Instance) PrepareSlots(ctx context.Context, host string, port int, slots []RemoteSlot) (c SlotCopy, err error) {
	control, err := i.ControlData(ctx)
	if err != nil {
		return c, err
	}
	size := control.WALSegmentSize
	oldest, ok := oldestSegment(i.dataPath("pg_wal"), size)
	if !ok {
		return c, fmt.Errorf("no log in %s", i.dataPath("pg_wal"))
	}
	free, _, err := diskFree(i.dataPath("pg_wal"))
	if err != nil {
		return c, err
	}
	first := oldest
	for _, s := range slots {
		seg := uint64(s.Restart) / size
		if seg < oldest && int64((oldest-seg)*size) > min(i.opt.FetchLimit, free/2) {
			c.TooOld = append(c.TooOld, s.Name)
			continue
		}
		c.Slots, first = append(c.Slots, s), min(first, seg)
	}
	if first == oldest {
		return c, nil
	}
	if c.segments, err = i.fetchSegments(ctx, host, port, first, oldest, size); err != nil {
		return c, fmt.Errorf("fetching the log that the slots begin with from %s:%d: %w", host, port, err)
	}
	return c, nil
}

// fetchSegments copies the segments [from, to) of the primary, of whatever timeline it has them.
func (i *Instance) fetchSegments(ctx context.Context, host string, port int, from, to, size uint64) ([]string, error) {
	s, err := i.dial(ctx, target{host: host, port: port, account: i.accounts().Rewind, database: i.settings().Database, app: appName})
	if err != nil {
		return nil, err
	}
	defer s.close()
	rows, err := s.rows(ctx, "SELECT pg_catalog.pg_ls_dir('pg_wal', true, false)")
	if err != nil {
		return nil, err
	}
	there, names := map[uint64]bool{}, []string(nil)
	for _, r := range rows {
		if n, is := segmentNumber(r[0], size); is && n >= from && n < to {
			there[n], names = true, append(names, r[0])
		}
	}
	for n := from; n < to; n++ {
		if !there[n] {
			return nil, fmt.Errorf("segment %X is not there any more", n)
		}
	}
	for _, n := range names {
		if err := i.fetchSegment(ctx, s, n, size); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// fetchChunk is how much of a segment is asked for at once.
const fetchChunk = 2 << 20

func (i *Instance) fetchSegment(ctx context.Context, s *session, name string, size uint64) error {
	content := make([]byte, 0, size)
	for at := uint64(0); at < size; at += fetchChunk {
		row, err := s.one(ctx, fmt.Sprintf("SELECT pg_catalog.encode(pg_catalog.pg_read_binary_file('pg_wal/%s', %d, %d, false), 'hex')", name, at, fetchChunk))
		if err != nil {
			return err
		}
		part, err := hex.DecodeString(row[0])
		if err != nil {
			return err
		}
		content = append(content, part...)
	}
	if uint64(len(content)) != size {
		return fmt.Errorf("segment %s has %d bytes, not %d", name, len(content), size)
	}
	return i.writeFile(i.dataPath("pg_wal", fetchedPrefix+name), content)
}

// placeSegment puts a fetched segment where replay and decoding look for it. It is marked as archived: the primary has seen to that, and a second
// copy would make many an archive_command fail for ever, should this server be promoted.
func (i *Instance) placeSegment(name string) error {
	from, to := i.dataPath("pg_wal", fetchedPrefix+name), i.dataPath("pg_wal", name)
	if exists(to) {
		return removeFile(from)
	}
	if err := i.writeFile(i.dataPath("pg_wal", "archive_status", name+".done"), nil); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// oldestSegment is the number of the first segment from which on there is no gap in a folder of log, timelines apart.
func oldestSegment(dir string, size uint64) (oldest uint64, ok bool) {
	entries, err := os.ReadDir(dir)
	if err != nil || size == 0 {
		return 0, false
	}
	var all []uint64
	for _, e := range entries {
		if n, is := segmentNumber(e.Name(), size); is {
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return 0, false
	}
	slices.Sort(all)
	all = slices.Compact(all)
	oldest = all[len(all)-1]
	for _, n := range slices.Backward(all) {
		if oldest-n > 1 {
			break
		}
		oldest = n
	}
	return oldest, true
}

// segmentNumber is the place of a segment in the log, by its name: timeline, and the position's upper and lower part in eight digits each.
func segmentNumber(name string, size uint64) (uint64, bool) {
	if len(name) != 24 {
		return 0, false
	}
	hi, errHi := strconv.ParseUint(name[8:16], 16, 64)
	lo, errLo := strconv.ParseUint(name[16:], 16, 64)
	return hi*(1<<32/size) + lo, errHi == nil && errLo == nil
}

// PlaceSlots puts copies of logical slots into the folder of a server that is at rest. What is there by a copy's name is replaced.
func (i *Instance) PlaceSlots(ctx context.Context, c SlotCopy) (err error) {
	done, err := i.begin("copy slots")
	if err != nil {
		return err
	}
	defer done(&err)
	if pid, err := i.opt.Supervisor.Running(ctx); err != nil || pid != 0 {
		return errors.Join(err, errors.New("logical slots are copied while PostgreSQL is stopped, and it runs"))
	}
	for _, n := range c.segments {
		if err := i.placeSegment(n); err != nil {
			return err
		}
	}
	if err := syncDir(i.dataPath("pg_wal")); err != nil {
		return err
	}
	root := i.dataPath("pg_replslot")
	for _, s := range c.Slots {
		if !postgres.ValidSlotName(s.Name) {
			return fmt.Errorf("replication slot %q: not a name that a slot can have", s.Name)
		}
		if err := i.placeSlot(root, s); err != nil {
			return fmt.Errorf("copying replication slot %s: %w", s.Name, err)
		}
	}
	return syncDir(root)
}

// placeSlot builds the slot's folder under the name that PostgreSQL removes at its start should this be broken off (slot.c, StartupReplicationSlots).
func (i *Instance) placeSlot(root string, s RemoteSlot) error {
	final := filepath.Join(root, s.Name)
	tmp := final + ".tmp"
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	if err := os.Mkdir(tmp, 0o700); err != nil {
		return err
	}
	if err := i.own(tmp); err != nil {
		return err
	}
	if err := i.writeFile(filepath.Join(tmp, "state"), s.state); err != nil {
		return err
	}
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	return os.Rename(tmp, final)
}
