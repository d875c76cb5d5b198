package postgres_test

import (
	"testing"

	"quorate/pgctl/postgres"
)

func TestArchiveAndRestoreCommand(t *testing.T) {
	if got := postgres.ArchiveCommand("cp %p /a/%f 100%%", "pg_wal/x", "x"); got != "cp pg_wal/x /a/x 100%" {
		t.Errorf("archive: %s", got)
	}
	if got := postgres.RestoreCommand("get %f %p %r %%f", "pg_wal/y", "x"); got != "get x pg_wal/y 000000000000000000000000 %f" {
		t.Errorf("restore: %s", got)
	}
}
