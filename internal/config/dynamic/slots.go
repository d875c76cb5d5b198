package dynamic

import (
	"errors"
	"fmt"
	"strings"
)

// parseSlot reads a permanent slot. Nothing, what counts as nothing in Python, or an empty mapping is a physical slot; a database and a plugin make
// it logical.
func parseSlot(name string, v any) (Slot, error) {
	if err := checkSlotName(name); err != nil {
		return Slot{}, err
	}
	m, ok := v.(map[string]any)
	if nothing := v == nil || v == false || v == "" || Text(v) == "0"; !nothing && !ok {
		return Slot{}, errors.New("expected a mapping with type, database and plugin")
	}
	if err := textFields(m); err != nil {
		return Slot{}, err
	}
	s := Slot{
		Type:        SlotType(Text(m["type"])),
		Database:    Text(m["database"]),
		Plugin:      Text(m["plugin"]),
		ClusterType: Text(m["cluster_type"]),
	}
	if s.Type == "" && s.Database != "" && s.Plugin != "" {
		s.Type = LogicalSlot
	}
	switch s.Type {
	case "":
		s.Type = PhysicalSlot
	case PhysicalSlot:
	case LogicalSlot:
		if s.Database == "" || s.Plugin == "" {
			return Slot{}, errors.New("expected a database and a plugin, as the slot is logical")
		}
	default:
		return Slot{}, errors.New("expected type physical or logical")
	}
	if s.ClusterType != "" && s.ClusterType != "primary" && s.ClusterType != "standby" {
		return Slot{}, errors.New("expected cluster_type primary or standby")
	}
	return s, nil
}

// checkSlotName applies PostgreSQL's rule for names of replication slots (ReplicationSlotValidateName).
func checkSlotName(name string) error {
	if len(name) > 63 {
		return errors.New("expected a name of at most 63 letters")
	}
	foreign := func(c rune) bool { return c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') }
	if name == "" || strings.ContainsFunc(name, foreign) {
		return errors.New("expected a name of lower case letters, digits and underscores")
	}
	return nil
}

// The fields of a slot and of a matcher. A field that is not known is reported and otherwise ignored: a slot that is kept, or left
// alone, too much costs disk; one that is dropped costs a replica.
var (
	slotFields    = []string{"type", "database", "plugin", "cluster_type", "failover"}
	matcherFields = []string{"name", "type", "database", "plugin"}
)

// textFields refuses values that are no text.
func textFields(m map[string]any) error {
	for _, key := range SortedKeys(m) {
		switch m[key].(type) {
		case map[string]any, []any:
			return fmt.Errorf("expected text in %s", key)
		}
	}
	return nil
}

// strangers reports the fields of v that are not known.
func (r *reader) strangers(name string, v any, known []string) {
	if m, ok := v.(map[string]any); ok {
		sub := reader{path: r.name(name), raw: m, known: known, out: r.out}
		sub.unknown()
	}
}

func parseMatcher(v any) (SlotMatcher, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return SlotMatcher{}, errors.New("expected a mapping with name, type, database or plugin")
	}
	if err := textFields(m); err != nil {
		return SlotMatcher{}, err
	}
	s := SlotMatcher{
		Name:     Text(m["name"]),
		Type:     SlotType(Text(m["type"])),
		Database: Text(m["database"]),
		Plugin:   Text(m["plugin"]),
	}
	if s == (SlotMatcher{}) {
		return s, errors.New("expected a name, type, database or plugin: without any, every slot would match")
	}
	return s, nil
}
