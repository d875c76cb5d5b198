package postgres

import (
	"maps"
	"strconv"
)

// Upstream is whom a standby streams from, and how.
type Upstream struct {
	Host string
	Port int
	// Slot is the physical replication slot there, "" for none.
	Slot string
	// Name is this standby's own name there (application_name): what synchronous_standby_names lists.
	Name string
	User string
	// PassFile is where the walreceiver finds the password; a password never stands in primary_conninfo, which any superuser reads.
	PassFile string
	// Extra are further settings (sslmode, gssencmode, channel_binding, ...): they win over the defaults here.
	Extra Conninfo
	// Recovery are settings of recovery that hold while this upstream is followed, restore_command for one; they win over the configuration's.
	Recovery Params
}

// Equal says whether u and o name the same upstream with the same settings.
func (u Upstream) Equal(o Upstream) bool {
	return u.Slot == o.Slot && maps.Equal(u.Recovery, o.Recovery) && u.Conninfo(MaxMajor*10000).String() == o.Conninfo(MaxMajor*10000).String()
}

// Conninfo renders primary_conninfo. Without the bounds on connecting and on a silent peer a standby whose upstream's host is
// lost would wait for the kernel's retransmissions, a quarter of an hour, before it looked for the new primary. From version 17 on
// the database name is needed by slot synchronisation.
func (u Upstream) Conninfo(v Version) Conninfo {
	c := Conninfo{}.
		With("user", u.User).
		With("passfile", u.PassFile).
		With("host", u.Host)
	if u.Port != 0 {
		c = c.With("port", strconv.Itoa(u.Port))
	}
	c = c.With("sslmode", "prefer").
		With("application_name", u.Name).
		With("connect_timeout", "3").
		With("keepalives", "1").
		With("keepalives_idle", "2").
		With("keepalives_interval", "1").
		With("keepalives_count", "3").
		With("tcp_user_timeout", "5000") // milliseconds
	if v.AtLeast(17) {
		c = c.With("dbname", "postgres")
	}
	for _, s := range u.Extra {
		c = c.With(s.Name, s.Value)
	}
	return c
}
