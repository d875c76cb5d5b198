package doctor

import "strings"

var reachRules = []Rule{
	{"reach", "the other hosts' ports can be reached from here", func(f *Facts) bool { return len(f.Reach) > 0 }, checkReach},
}

func checkReach(f *Facts) (out []Finding) {
	for _, r := range f.Reach {
		where := r.Host + ":" + r.Port
		switch r.Result {
		case "filtered":
			out = append(out, danger(where, "no answer from the port of "+r.What+": a firewall or a security group drops it, or the host is down",
				"open it between the hosts of the cluster"))
		case "failed":
			out = append(out, danger(where, "the port of "+r.What+" cannot be reached: "+r.Detail, "look at names, routes and the firewall"))
		case "refused":
			if r.Required {
				out = append(out, warning(where, "nobody listens on the port of "+r.What+", although it should be there", "is quorate running there? (systemctl status quorate)"))
			}
		}
	}
	return out
}

var loginRules = []Rule{
	{"logins", "this host may log in at every member for replication and rewind", hasServers, checkLogins},
}

func checkLogins(f *Facts) (out []Finding) {
	for _, m := range f.Cluster.Members {
		for _, l := range m.Server.Logins {
			where := m.Name + " (" + m.Addr + ")"
			switch {
			case l.Err != "" && l.Use == "rewind":
				out = append(out, warning(where, "the user "+l.User+" for pg_rewind cannot log in from here: "+l.Err, hbaAdvice(l)))
			case l.Err != "" && l.Use == "superuser":
				out = append(out, unknown(where, "its parameters and slots were not looked at; the superuser "+l.User+" cannot log in from here: "+l.Err, "run the doctor on that host too"))
			case l.Err != "":
				out = append(out, danger(where, "the user "+l.User+" for replication cannot log in from here, so that this host cannot follow it: "+l.Err, hbaAdvice(l)))
			case len(l.Lacks) > 0:
				out = append(out, warning(where, "the user "+l.User+" for "+l.Use+" lacks "+strings.Join(l.Lacks, ", "), "GRANT EXECUTE ON FUNCTION ... TO "+l.User+" on the primary (pg_rewind's manual, Notes), or use the superuser"))
			}
		}
	}
	return out
}

// hbaAdvice is the remedy for a login that fails.
func hbaAdvice(l Login) string {
	if strings.Contains(l.Err, "no pg_hba.conf entry") {
		database := "all"
		if l.Use == "replication" {
			database = "replication"
		}
		return "add to postgresql.pg_hba (quorate edit-config): host " + database + " " + l.User + " <this host's address>/32 scram-sha-256"
	}
	if strings.Contains(l.Err, "dial error") {
		return "is PostgreSQL running there, and its port open to this host? (quorate list)"
	}
	return "the password in postgresql.authentication." + l.Use + " must be the database's, on every member"
}

// Bounds for slots.
const (
	slotWarn = 4 << 30 // bytes of WAL that a slot without a reader holds
)

var slotRules = []Rule{
	{"slots", "replication slots are read, and hold no more WAL than there is room for", hasServers, checkSlots},
	{"archive", "WAL is archived", hasServers, checkArchive},
}

func checkSlots(f *Facts) (out []Finding) {
	for _, m := range f.Cluster.Members {
		for _, s := range m.Server.Slots {
			where := m.Name + ", slot " + s.Name
			switch {
			case s.Status == "lost":
				out = append(out, warning(where, "it has lost its WAL: its reader cannot go on", lostAdvice(s)))
			case s.Status == "unreserved":
				out = append(out, warning(where, "it is about to lose its WAL (max_slot_wal_keep_size)", "start its reader, or drop it"))
			case !s.Active && s.Retained >= slotWarn:
				out = append(out, warning(where, "nobody reads it, and it holds "+size(uint64(s.Retained))+" of WAL", "start its reader, or SELECT pg_drop_replication_slot('"+s.Name+"')"))
			}
			if free, ok := freeFor(f, m); ok && s.Retained > 0 && uint64(s.Retained) > free && s.Status != "lost" {
				out = append(out, danger(where, "it holds "+size(uint64(s.Retained))+" of WAL, more than is still free ("+size(free)+")", "start its reader, or drop it, before the disk is full"))
			}
		}
	}
	return out
}

// freeFor is the room for WAL on a member, which is known of this host only.
func freeFor(f *Facts, m Member) (free uint64, ok bool) {
	if !m.Self {
		return 0, false
	}
	for _, d := range f.Folders {
		if d.Use == "wal" && d.Err == "" {
			return d.Free, true
		}
	}
	return 0, false
}

func lostAdvice(s Slot) string {
	if s.Type == "logical" {
		return "the subscription must be made anew; then SELECT pg_drop_replication_slot('" + s.Name + "')"
	}
	return "give that member a new copy (quorate reinit); without a member of that name: SELECT pg_drop_replication_slot('" + s.Name + "')"
}

func checkArchive(f *Facts) (out []Finding) {
	for _, m := range f.Cluster.Members {
		if m.Server.ArchiveFailed {
			out = append(out, warning(m.Name, "archive_command fails (last at "+m.Server.ArchiveError+"): WAL piles up, and there is no point-in-time recovery to now", "look at PostgreSQL's log for what the command says"))
		}
	}
	return out
}
