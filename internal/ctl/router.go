package ctl

import (
	"fmt"
	"strings"

	"quorate/api/client"
)

// RouterListeners shows the ports of a router.
func RouterListeners(r client.Router) Sheet {
	s := Sheet{
		Title:   fmt.Sprintf(" Router: %s (term %s, %s) ", r.Scope, r.Term, validity(r)),
		Columns: []string{"Listener", "Address", "Target", "Balance", "Sessions", "Waiting"},
		Right:   []string{"Sessions", "Waiting"},
	}
	for _, l := range r.Listeners {
		s.Rows = append(s.Rows, []any{l.Name, l.Address, l.Target, l.Balance, l.Sessions, l.Held})
	}
	return s
}

func validity(r client.Router) string {
	switch {
	case r.Scope == "":
		return "no table yet"
	case r.ValidSeconds <= 0:
		return "expired: no primary is served"
	}
	return fmt.Sprintf("valid for %.1f s", r.ValidSeconds)
}

// RouterBackends shows the servers that a router knows.
func RouterBackends(r client.Router) Sheet {
	s := Sheet{
		Columns: []string{"Backend", "Address", "Role", "State", "Lag", "Sessions"},
		Right:   []string{"Lag", "Sessions"},
	}
	for _, b := range r.Backends {
		var lag any = ""
		if b.Lag >= 0 {
			lag = Bytes(b.Lag)
		}
		s.Rows = append(s.Rows, []any{b.Name, b.Address, backendRole(b), backendState(b), lag, b.Sessions})
	}
	return s
}

func backendRole(b client.RouterBackend) string {
	if b.Sync {
		return title("sync_standby")
	}
	return title(b.Role)
}

func backendState(b client.RouterBackend) string {
	switch {
	case !b.Running:
		return "not running"
	case b.Suspect:
		return "suspect"
	case len(b.LaggedBy) > 0:
		return "lags too far for " + strings.Join(b.LaggedBy, ", ")
	}
	return "running"
}

// RouterSessions shows the connections through a router.
func RouterSessions(sessions []client.RouterSession) Sheet {
	s := Sheet{
		Columns: []string{"ID", "Listener", "Client", "Backend", "User", "Database", "Application", "Seconds", "In", "Out"},
		Right:   []string{"ID", "Seconds", "In", "Out"},
	}
	for _, x := range sessions {
		s.Rows = append(s.Rows, []any{
			x.ID, x.Listener, x.Client, x.Backend, x.User, x.Database, x.App, int64(x.Seconds), Bytes(x.BytesIn), Bytes(x.BytesOut),
		})
	}
	return s
}
