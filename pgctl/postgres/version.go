package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Version is a server version as server_version_num counts it: major times 10000 plus minor.
type Version int

// The major versions that the rules of this package cover.
const (
	MinMajor = 12
	MaxMajor = 18
)

// ErrBadVersion is a version text that does not begin with a number.
var ErrBadVersion = errors.New("not a PostgreSQL version")

// Major is the major version, 15 for 150007.
func (v Version) Major() int { return int(v) / 10000 }

// String is the form people write, 15.7.
func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major(), int(v)%10000) }

// AtLeast says whether v is of the major version or a later one.
func (v Version) AtLeast(major int) bool { return v.Major() >= major }

// ParseVersion reads the version in the output of `postgres --version` or in server_version: the first word that begins with a
// digit. Of a development version ("18beta1", "19devel") the major number counts.
func ParseVersion(s string) (Version, error) {
	for _, w := range strings.Fields(s) {
		if w[0] < '0' || w[0] > '9' {
			continue
		}
		major, rest := leadingInt(w)
		minor := 0
		if strings.HasPrefix(rest, ".") {
			minor, _ = leadingInt(rest[1:])
		}
		if major <= 0 || major > 9999 || minor > 9999 {
			break
		}
		return Version(major*10000 + minor), nil
	}
	return 0, fmt.Errorf("%q: %w", s, ErrBadVersion)
}

// ParseMajor reads the file PG_VERSION of a data folder.
func ParseMajor(s string) (int, error) {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n <= 0 {
		return 0, fmt.Errorf("%q: %w", s, ErrBadVersion)
	}
	return n, nil
}

func leadingInt(s string) (n int, rest string) {
	i := 0
	for i < len(s) && i < 6 && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:]
}

// What changed between versions in how a standby is steered.

// ConninfoReloads says whether primary_conninfo and primary_slot_name take effect on reload (13) or need a restart.
func (v Version) ConninfoReloads() bool { return v.AtLeast(13) }

// RestoreCommandReloads says whether restore_command takes effect on reload (14) or needs a restart.
func (v Version) RestoreCommandReloads() bool { return v.AtLeast(14) }

// RewindRestoresWAL says whether pg_rewind can fetch missing log by restore_command (--restore-target-wal, 13).
func (v Version) RewindRestoresWAL() bool { return v.AtLeast(13) }

// RewindNeedsCheckpoint says whether pg_rewind reads the source's timeline from its control file, so that a promotion must have
// been followed by a checkpoint before anybody rewinds from it. Version 16 looks for itself.
func (v Version) RewindNeedsCheckpoint() bool { return !v.AtLeast(16) }
