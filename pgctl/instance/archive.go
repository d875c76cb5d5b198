package instance

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"quorate/pgctl/postgres"
)

// ErrNotArchived says that the last of the log did not get into the archive.
var ErrNotArchived = errors.New("the end of the log was not archived")

// ArchiveEnd puts the segment with the checkpoint of a shutdown in order into the archive, which PostgreSQL does only when a segment is full: who
// follows by the archive alone lacks that record else, and leaves this server's history when it is promoted (Patroni 4.1 does the same when a
// cluster is demoted). The name is that of the whole segment, so that it is for a server whose timeline ends there. Without archiving it does nothing.
func (i *Instance) ArchiveEnd(ctx context.Context) (err error) {
	done, err := i.begin("archive the end of the log")
	if err != nil {
		return err
	}
	defer done(&err)
	c, err := i.ControlData(ctx)
	if err != nil {
		return err
	}
	if c.State != "shut down" {
		return fmt.Errorf("%w: PostgreSQL is %s", ErrNotArchived, c.State)
	}
	mode, err := i.setting(ctx, "archive_mode")
	if err != nil || mode == "off" {
		return err
	}
	template, err := i.setting(ctx, "archive_command")
	switch {
	case err != nil:
		return err
	case template == "":
		return fmt.Errorf("%w: there is no archive_command", ErrNotArchived)
	}
	file := postgres.WALFileAt(c.Timeline, c.Checkpoint, c.WALSegmentSize).Name(c.WALSegmentSize)
	if exists(i.dataPath("pg_wal", "archive_status", file+".done")) {
		return nil
	}
	line := postgres.ArchiveCommand(template, "pg_wal/"+file, file)
	if _, err := i.run(ctx, command{path: "/bin/sh", args: []string{"-c", line}, dir: i.opt.DataDir, line: i.logLine("archive_command")}); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrNotArchived, file, err)
	}
	i.log.Info("the end of the log is in the archive", "segment", file)
	return nil
}

// setting is the value that a start would give a parameter.
func (i *Instance) setting(ctx context.Context, name string) (string, error) {
	program, err := i.program(ctx, "postgres")
	if err != nil {
		return "", err
	}
	out, err := i.output(ctx, command{path: program, args: []string{"-D", i.opt.DataDir, "--config_file=" + i.confPath(confFile), "-C", name}})
	return strings.TrimRight(out, "\n"), err
}
