package node

import (
	"strings"
	"testing"
)

// Permanent slots come and go with the configuration; what somebody else made stays, and the status key tells where they are.
func TestPermanentSlots(t *testing.T) {
	requirePostgres(t)
	t.Parallel()
	s := newSite(t)
	u := s.run(s.config(""))
	s.awaitPrimary()
	s.psql(portPrimary, "SELECT pg_create_physical_replication_slot('mine', true)")
	slots := func() string {
		return s.psql(portPrimary, "SELECT string_agg(slot_name, ' ' ORDER BY slot_name) FROM pg_replication_slots")
	}
	if code, text := s.do("PATCH", "/config", `{"slots":{"backup":{"type":"physical"}}}`); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	eventually(t, "the permanent slot", func() bool { return slots() == "backup mine" })
	eventually(t, "its position in the status key", func() bool { return u.agent.pub.view.Load().cluster.Status.Slots["backup"] != 0 })
	if code, text := s.do("PATCH", "/config", `{"slots":null}`); code != 200 {
		t.Fatalf("%d %s", code, text)
	}
	eventually(t, "no permanent slot any more", func() bool { return slots() == "mine" })
	eventually(t, "no word of it", func() bool { return u.agent.pub.view.Load().cluster.Status.Slots["backup"] == 0 })
	if strings.Contains(s.log.String(), "slots were not all set") {
		t.Error("a slot could not be set")
	}
}
