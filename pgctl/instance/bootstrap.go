package instance

import (
	"context"
	"fmt"
	"strings"
)

// rewindFunctions are what pg_rewind calls at its source (manual, pg_rewind, "Notes").
var rewindFunctions = []string{
	"pg_catalog.pg_ls_dir(text, boolean, boolean)",
	"pg_catalog.pg_stat_file(text, boolean)",
	"pg_catalog.pg_read_binary_file(text)",
	"pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
}

// PostBootstrap gives the superuser of a new cluster the password of the configuration, since one that was restored has that of its origin, and
// makes the roles of replication and rewind, or gives them their passwords when they are there. It may be repeated.
func (i *Instance) PostBootstrap(ctx context.Context) error {
	// A new cluster has no standby to wait for, and passwords shall not get into its log.
	params := map[string]string{
		"synchronous_commit": "local", "log_statement": "none", "log_min_duration_statement": "-1", "log_min_error_statement": "log",
	}
	i.confMu.Lock()
	written := i.conf.Params["password_encryption"] != ""
	i.confMu.Unlock()
	if !written {
		// The default of version 14 and later; before, the passwords would be stored for md5, and a pg_hba that asks for SCRAM lets nobody in. One
		// that asks for md5 takes both.
		params["password_encryption"] = "scram-sha-256"
	}
	s, err := i.local(ctx, appName, params)
	if err != nil {
		return fmt.Errorf("post bootstrap: %w", err)
	}
	defer s.close()
	for _, sql := range i.bootstrapSQL() {
		if err := s.exec(ctx, sql); err != nil {
			return fmt.Errorf("post bootstrap: %w", err)
		}
	}
	return nil
}

func (i *Instance) bootstrapSQL() []string {
	var out []string
	acc := i.accounts()
	super := acc.Superuser.User
	if acc.Superuser.Password != "" {
		out = append(out, roleSQL(acc.Superuser, "SUPERUSER"))
	}
	if a := acc.Replication; a.User != "" && a.User != super {
		out = append(out, roleSQL(a, "REPLICATION"))
	}
	if a := acc.Rewind; a.User != super {
		if a.User != acc.Replication.User {
			out = append(out, roleSQL(a, ""))
		}
		for _, f := range rewindFunctions {
			out = append(out, "GRANT EXECUTE ON FUNCTION "+f+" TO "+ident(a.User))
		}
	}
	return out
}

// roleSQL makes a role, or alters the one that is there.
func roleSQL(a Account, options string) string {
	with := "LOGIN"
	if options != "" {
		with += " " + options
	}
	if a.Password != "" {
		with += " PASSWORD " + literal(a.Password)
	}
	role := ident(a.User)
	body := fmt.Sprintf(`BEGIN
 IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN
  ALTER ROLE %s WITH %s;
 ELSE
  CREATE ROLE %s WITH %s;
 END IF;
END`, literal(a.User), role, with, role, with)
	tag := "$quorate$"
	for strings.Contains(body, tag) {
		tag = "$q" + tag[1:]
	}
	return "DO " + tag + "\n" + body + "\n" + tag
}
