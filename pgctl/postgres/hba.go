package postgres

import (
	"errors"
	"fmt"
	"strings"
)

// ErrBadHBA is a line that pg_hba.conf or pg_ident.conf cannot have. One such line makes PostgreSQL refuse the whole file.
var ErrBadHBA = errors.New("malformed line")

// hbaTypes are the first words of a pg_hba.conf line (manual, section 21.1); the include directives came with version 16.
var hbaTypes = []string{"local", "host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc", "include", "include_if_exists", "include_dir"}

// RenderHBA is the content of pg_hba.conf: the lines as given, then own. PostgreSQL takes the first line that matches, so that own
// serves only what the given lines say nothing about.
func RenderHBA(lines, own []string) (string, error) {
	for i, l := range lines {
		if err := checkHBALine(l); err != nil {
			return "", fmt.Errorf("pg_hba entry %d %q: %w", i+1, l, err)
		}
	}
	return renderLines(append(append([]string(nil), lines...), own...)), nil
}

// RenderIdent is the content of pg_ident.conf.
func RenderIdent(lines []string) (string, error) {
	for i, l := range lines {
		if strings.ContainsAny(l, "\n\r\x00") {
			return "", fmt.Errorf("pg_ident entry %d %q: %w: it is not one line", i+1, l, ErrBadHBA)
		}
	}
	return renderLines(lines), nil
}

func renderLines(lines []string) string {
	return generatedNotice + strings.Join(lines, "\n") + "\n"
}

func checkHBALine(l string) error {
	if strings.ContainsAny(l, "\n\r\x00") {
		return fmt.Errorf("%w: it is not one line", ErrBadHBA)
	}
	f := strings.Fields(l)
	if len(f) == 0 || f[0][0] == '#' {
		return nil
	}
	kind := strings.ToLower(f[0])
	known := false
	for _, t := range hbaTypes {
		known = known || t == kind
	}
	switch {
	case !known:
		return fmt.Errorf("%w: a line begins with local, host, hostssl, hostnossl, hostgssenc or hostnogssenc, not %q", ErrBadHBA, f[0])
	case strings.HasPrefix(kind, "include"):
		return nil
	case kind == "local" && len(f) < 4:
		return fmt.Errorf("%w: local wants database, user and method", ErrBadHBA)
	case kind != "local" && len(f) < 5:
		return fmt.Errorf("%w: %s wants database, user, address and method", ErrBadHBA, kind)
	}
	return nil
}

// QuoteHBA quotes a user or database name for pg_hba.conf when it could be read as something else.
func QuoteHBA(name string) string {
	switch strings.ToLower(name) {
	case "all", "replication", "sameuser", "samerole", "samegroup", "":
		return `"` + name + `"`
	}
	if strings.ContainsAny(name, " \t,#\"+@/") {
		return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	}
	return name
}

// ErrBadPassword is a password that a passfile or a role cannot have.
var ErrBadPassword = errors.New("a password must be one line")

// Login is a user name and password; an empty password means that the server asks none.
type Login struct{ User, Password string }

// RenderPassFile is a libpq password file that gives these logins to any server: the connections that use it name theirs.
func RenderPassFile(logins []Login) (string, error) {
	esc := strings.NewReplacer(`\`, `\\`, `:`, `\:`)
	var b strings.Builder
	for _, l := range logins {
		if strings.ContainsAny(l.User+l.Password, "\n\r\x00") {
			return "", fmt.Errorf("user %q: %w", l.User, ErrBadPassword)
		}
		if l.User != "" && l.Password != "" {
			fmt.Fprintf(&b, "*:*:*:%s:%s\n", esc.Replace(l.User), esc.Replace(l.Password))
		}
	}
	return b.String(), nil
}
