package instance

import (
	"errors"
	"fmt"
	"os"

	"quorate/pgctl/postgres"
)

// writeHBA writes pg_hba.conf and pg_ident.conf, unless the parameters point PostgreSQL at files elsewhere, which are their
// owner's. With confMu held.
func (i *Instance) writeHBA(v postgres.Version) error {
	if i.conf.HBA != nil && i.conf.Params["hba_file"] == "" {
		text, err := postgres.RenderHBA(i.conf.HBA, i.ownHBA(v))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadConfig, err)
		}
		if _, err := i.updateFile(i.confPath(hbaFile), []byte(text)); err != nil {
			return err
		}
	}
	if i.conf.Ident == nil || i.conf.Params["ident_file"] != "" {
		return nil
	}
	text, err := postgres.RenderIdent(i.conf.Ident)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadConfig, err)
	}
	_, err = i.updateFile(i.confPath(identFile), []byte(text))
	return err
}

// ownHBA lets the agent in through the socket when the user's lines say nothing about it. It comes last, so that it changes nothing for
// anybody who is named before.
func (i *Instance) ownHBA(v postgres.Version) []string {
	method := passwordMethod(i.conf.Params, v)
	if i.accounts().Superuser.Password == "" {
		method = "peer"
	}
	who := postgres.QuoteHBA(i.accounts().Superuser.User)
	return []string{
		"# The agent's own connections, when no line above matches them.",
		fmt.Sprintf("local all %s %s", who, method),
		fmt.Sprintf("local replication %s %s", who, method),
	}
}

// passwordMethod is the method for passwords as they are stored. The method md5 takes those stored for SCRAM, too.
func passwordMethod(p postgres.Params, v postgres.Version) string {
	if !v.AtLeast(14) || p["password_encryption"] == "md5" {
		return "md5"
	}
	return "scram-sha-256"
}

// DefaultHBA are the lines for a new cluster whose configuration has none: passwords for everybody, and the agent itself.
func (i *Instance) DefaultHBA(v postgres.Version) []string {
	i.confMu.Lock()
	method := passwordMethod(i.conf.Params, v)
	i.confMu.Unlock()
	repl := postgres.QuoteHBA(i.accounts().Replication.User)
	return []string{
		"local all all peer",
		"host all all 127.0.0.1/32 " + method,
		"host all all ::1/128 " + method,
		"host all all 0.0.0.0/0 " + method,
		"host all all ::/0 " + method,
		"host replication " + repl + " 0.0.0.0/0 " + method,
		"host replication " + repl + " ::/0 " + method,
	}
}

// PassFile writes the password file of all connections that this host's PostgreSQL and its programs make, and is its path.
func (i *Instance) PassFile() (string, error) {
	text, err := postgres.RenderPassFile(i.logins())
	if err != nil {
		return "", err
	}
	path := i.settings().PassFile
	if _, err := i.updateFile(path, []byte(text)); err != nil {
		return "", err
	}
	return path, errors.Join(os.Chmod(path, 0o600), i.own(path))
}

// logins are the accounts, each role once: where two share a name the first password counts.
func (i *Instance) logins() []postgres.Login {
	var out []postgres.Login
	seen := map[string]bool{}
	for _, a := range i.accounts().all() {
		if !seen[a.User] {
			seen[a.User] = true
			out = append(out, postgres.Login{User: a.User, Password: a.Password})
		}
	}
	return out
}
