package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"quorate/internal/config"
	"quorate/internal/config/dynamic"
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
	conn, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return "", fmt.Errorf("connect to the running PostgreSQL (--dsn): %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	server, err := readServer(ctx, conn)
	if err != nil {
		return "", err
	}
	if scope == "" {
		scope = server.setting("cluster_name")
	}
	bootstrap, section := server.sections()
	return config.Generated(config.LocalHost(), scope, ctl.FormatYAML(map[string]any{"bootstrap": bootstrap}, false),
		ctl.FormatYAML(map[string]any{"postgresql": section}, false)), nil
}

// server is what a running PostgreSQL says about itself.
type server struct {
	user     string
	settings map[string]string
	changed  []string // parameters that somebody set
	hba      []string
}

func (s server) setting(name string) string { return s.settings[name] }

const settingsQuery = `SELECT name, pg_catalog.current_setting(name), source IN ('configuration file', 'command line')
	AND sourcefile IS DISTINCT FROM '' FROM pg_catalog.pg_settings ORDER BY name`

func readServer(ctx context.Context, conn *pgconn.PgConn) (server, error) {
	s := server{settings: map[string]string{}}
	results, err := conn.Exec(ctx, "SELECT current_user; "+settingsQuery).ReadAll()
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
	if s.setting("data_directory") == "" {
		return s, fmt.Errorf("read the settings of the running PostgreSQL: the user %s may not see data_directory; connect as a superuser", s.user)
	}
	s.hba = rules(s.setting("hba_file"))
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

// notKept are parameters that follow from other settings, or that name what this server's file layout is.
var notKept = map[string]bool{
	"listen_addresses": true, "port": true, "cluster_name": true, "hot_standby": true, "config_file": true, "data_directory": true,
	"hba_file": true, "ident_file": true, "external_pid_file": true, "primary_conninfo": true, "primary_slot_name": true,
	"synchronous_standby_names": true, "recovery_target_timeline": true, "restart_after_crash": true,
}

// sections puts the parameters where they belong: those that must be equal on all members into bootstrap.dcs.
func (s server) sections() (bootstrap, section map[string]any) {
	shared, own := map[string]any{}, map[string]any{}
	for _, name := range s.changed {
		switch {
		case notKept[name]:
		case dynamic.IsSharedParameter(name):
			shared[name] = s.settings[name]
		default:
			own[name] = s.settings[name]
		}
	}
	bootstrap = map[string]any{"dcs": map[string]any{
		"ttl": 3, "loop_wait": 1, "retry_timeout": 1,
		"postgresql": map[string]any{"use_pg_rewind": true, "parameters": shared},
	}}
	section = map[string]any{
		"listen":     s.setting("listen_addresses") + ":" + s.setting("port"),
		"data_dir":   s.setting("data_directory"),
		"parameters": own,
		"authentication": map[string]any{
			"superuser":   map[string]any{"username": s.user, "password": "change-me"},
			"replication": map[string]any{"username": "replicator", "password": "change-me"},
		},
	}
	if len(s.hba) > 0 {
		section["pg_hba"] = s.hba
	}
	return bootstrap, section
}
