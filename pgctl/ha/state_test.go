package ha_test

import (
	"testing"

	"quorate/pgctl/ha"
)

// A member that is copied anew says so, although its folder holds the old data until the copy begins to take its place.
func TestStateWhileCopying(t *testing.T) {
	s := ha.Snapshot{PG: ha.PG{Folder: ha.FolderData, Phase: ha.Stopped, Clean: true}}
	if got := ha.StateText(&s); got != "stopped" {
		t.Errorf("at rest: %q", got)
	}
	s.PG.Copying = true
	if got := ha.StateText(&s); got != "creating replica" {
		t.Errorf("while it is copied anew: %q", got)
	}
	s.PG.Phase = ha.Starting
	if got := ha.StateText(&s); got != "starting" {
		t.Errorf("the copy starts: %q", got)
	}
}
