package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/ctl"
)

func newGenerateConfigCmd(a *app) *cobra.Command {
	var sample bool
	var dsn string
	c := &cobra.Command{
		Use:   "generate-config [FILE]",
		Short: "Write a configuration that takes over a running PostgreSQL, or a sample",
		Args:  atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			text := config.Sample(config.LocalHost(), a.env["PATRONI_SCOPE"])
			if !sample {
				var err error
				if text, err = generate(c.Context(), dsn, a.env["PATRONI_SCOPE"]); err != nil {
					return err
				}
			}
			return a.writeConfig(firstOf(args), text)
		},
	}
	c.Flags().BoolVar(&sample, "sample", false, "a sample; nothing is asked")
	c.Flags().StringVar(&dsn, "dsn", "", "how to connect to the running PostgreSQL; the variables PGHOST and so on unless given")
	return c
}

// writeConfig prints a configuration, or makes a file of it that only its owner can read. It never overwrites.
func (a *app) writeConfig(path, text string) error {
	if path == "" {
		fmt.Fprint(a.out, text)
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return f.Sync()
}

// generate asks a running server for its settings.
func generate(ctx context.Context, dsn, scope string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	to, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return "", fmt.Errorf("--dsn: %w", err)
	}
	encryption, err := ctl.EncryptionOf(dsn, os.Getenv)
	if err != nil {
		return "", fmt.Errorf("--dsn: %w", err)
	}
	for _, k := range ctl.EncryptionKeys {
		delete(to.RuntimeParams, k) // what the driver does not know it would ask the server for
	}
	conn, err := pgconn.ConnectConfig(ctx, to)
	if err != nil {
		return "", fmt.Errorf("connect to the running PostgreSQL (--dsn): %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	server, err := readServer(ctx, conn)
	if err != nil {
		return "", err
	}
	server.password, server.encryption = to.Password, encryption
	return config.Generated(config.LocalHost(), cmp.Or(scope, scopeOf(server.setting("cluster_name"))), server.sections), nil
}

// scopeOf is a cluster_name as a part of keys: Debian's is 15/main.
func scopeOf(clusterName string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune(`/\\'"`, c) || c <= ' ' {
			return '-'
		}
		return c
	}, clusterName)
}

// server is what a running PostgreSQL says about itself.
type server struct {
	user, password string
	encryption     []ctl.Setting // of the connection to it
	replication    string        // a role that may replicate and is no superuser; "" if there is none
	settings       map[string]string
	changed        []string // parameters that somebody set
	hba, ident     []string
	binDir         string // "" if it is not on this host, or the user may not see it
}

func (s server) setting(name string) string { return s.settings[name] }

const (
	settingsQuery = `SELECT name, pg_catalog.current_setting(name), source IN ('configuration file', 'command line', 'environment variable')
	AND sourcefile IS DISTINCT FROM '' AND context <> 'internal' FROM pg_catalog.pg_settings ORDER BY name`
	replicationQuery = `SELECT rolname FROM pg_catalog.pg_roles WHERE rolreplication AND rolcanlogin AND NOT rolsuper ORDER BY rolname LIMIT 1`
)

func readServer(ctx context.Context, conn *pgconn.PgConn) (server, error) {
	s := server{settings: map[string]string{}}
	results, err := conn.Exec(ctx, "SELECT current_user; "+settingsQuery+"; "+replicationQuery).ReadAll()
	if err != nil {
		return s, fmt.Errorf("read the settings of the running PostgreSQL: %w", err)
	}
	s.user = string(results[0].Rows[0][0])
	for _, row := range results[1].Rows {
		name := string(row[0])
		s.settings[name] = string(row[1])
		if string(row[2]) == "t" {
			s.changed = append(s.changed, name)
		}
	}
	for _, row := range results[2].Rows {
		s.replication = string(row[0])
	}
	if s.setting("data_directory") == "" {
		return s, fmt.Errorf("read the settings of the running PostgreSQL: the user %s may not see data_directory; connect as a superuser", s.user)
	}
	s.hba, s.ident = rules(s.setting("hba_file")), rules(s.setting("ident_file"))
	s.binDir = binDir(s.setting("data_directory"))
	return s, nil
}

// rules are the lines of a file without comments; none when it cannot be read, as on another host.
func rules(file string) []string {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			out = append(out, line)
		}
	}
	return out
}

// binDir is the folder of the programs that serve a data folder, by the postmaster's process; "" when that cannot be seen.
func binDir(dataDir string) string {
	text, err := os.ReadFile(filepath.Join(dataDir, "postmaster.pid"))
	if err != nil {
		return ""
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	exe, err := os.Readlink(filepath.Join("/proc", filepath.Base(strings.TrimSpace(pid)), "exe"))
	if err != nil {
		return ""
	}
	return filepath.Dir(exe)
}
