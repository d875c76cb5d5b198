package instance

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// loginLook is how often logins that are under way are looked at while a shutdown waits for them.
const loginLook = 10 * time.Millisecond

// awaitLogins returns when no login is under way, or after the time that is given for that. PostgreSQL's fast shutdown ends a login without a word to its
// client, and no other server can go on with its exchange of proofs: what takes milliseconds is worth waiting for. New ones are the routers' to hold.
func (i *Instance) awaitLogins(ctx context.Context, pid int, limit time.Duration) {
	began := time.Now()
	look := time.NewTicker(loginLook)
	defer look.Stop()
	n, none := 0, 0
	for time.Since(began) < limit {
		if n = loginsUnderWay(pid); n > 0 {
			none = 0
		} else if none++; none == loginNone {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
	if n > 0 {
		i.log.Warn("the shutdown cuts logins off that have not come to their end", "logins", n, "waited", limit.String())
	}
}

// loginNone is how many looks in a row must find none: a connection may stand in the kernel's queue, for the postmaster to accept it.
const loginNone = 3

// loginsUnderWay counts the backends that show in their process title (src/backend/utils/misc/ps_status.c) that they are not yet ready for a
// query, or that have none of their own yet. Where titles are off (update_process_title), or children are not listed, it sees only the latter.
func loginsUnderWay(postmaster int) (n int) {
	p := strconv.Itoa(postmaster)
	children, err := os.ReadFile(filepath.Join("/proc", p, "task", p, "children"))
	if err != nil {
		return 0
	}
	own, _ := os.ReadFile(filepath.Join("/proc", p, "cmdline"))
	for child := range bytes.FieldsSeq(children) {
		title, err := os.ReadFile(fmt.Sprintf("/proc/%s/cmdline", child))
		if err == nil && (isLogin(title) || len(own) > 0 && bytes.Equal(title, own)) {
			n++
		}
	}
	return n
}

// isLogin says whether a process title is that of a client's backend before its first query: "postgres: CLUSTER: USER DATABASE HOST WORD". A standby that logs in
// is not waited for, and the startup process, whose whole name is such a word, has no client.
func isLogin(title []byte) bool {
	words := strings.Fields(strings.TrimRight(string(title), "\x00 "))
	if len(words) < 4 || words[0] != "postgres:" || slices.Contains(words, "walsender") {
		return false
	}
	return slices.Contains([]string{"initializing", "authentication", "startup"}, words[len(words)-1])
}
