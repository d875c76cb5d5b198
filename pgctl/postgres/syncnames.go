package postgres

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrBadSyncNames is a synchronous_standby_names that PostgreSQL would refuse.
var ErrBadSyncNames = errors.New("malformed synchronous_standby_names")

// SyncMethod is how many of the listed standbys must confirm a commit, and which.
type SyncMethod string

// The methods of synchronous_standby_names (manual, section 20.6.2).
const (
	SyncFirst SyncMethod = "FIRST" // the first Num connected ones of the list
	SyncAny   SyncMethod = "ANY"   // any Num of the list: a quorum
)

// SyncNames is the value of synchronous_standby_names. The zero value is the empty one: no commit waits for a standby.
type SyncNames struct {
	Method SyncMethod
	Num    int
	// Names are application_names. PostgreSQL compares them without regard to case. The name * stands for any standby.
	Names []string
}

// IsZero says whether no commit waits for a standby.
func (s SyncNames) IsZero() bool { return len(s.Names) == 0 }

// Has says whether the standby of that name is one of those that may confirm.
func (s SyncNames) Has(name string) bool {
	for _, n := range s.Names {
		if n == "*" || strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// String renders the value. A single name of the method FIRST is written in the old short form, as Patroni writes it.
func (s SyncNames) String() string {
	if s.IsZero() {
		return ""
	}
	names := make([]string, len(s.Names))
	for i, n := range s.Names {
		names[i] = quoteSyncName(n)
	}
	if s.Method != SyncAny && s.Num <= 1 && len(names) == 1 {
		return names[0]
	}
	method := s.Method
	if method == "" {
		method = SyncFirst
	}
	return fmt.Sprintf("%s %d (%s)", method, max(s.Num, 1), strings.Join(names, ","))
}

func quoteSyncName(n string) string {
	if n == "*" || isSyncIdent(n) && !strings.EqualFold(n, "first") && !strings.EqualFold(n, "any") {
		return n
	}
	return `"` + strings.ReplaceAll(n, `"`, `""`) + `"`
}

// isSyncIdent follows the lexer of syncrep_scanner.l, but for bytes over 127: those are quoted to be on the safe side.
func isSyncIdent(s string) bool {
	for i := range len(s) {
		if !isIdentByte(s[i], i == 0) || s[i] >= 0x80 {
			return false
		}
	}
	return s != ""
}

func isIdentByte(c byte, first bool) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c >= 0x80:
		return true
	case c >= '0' && c <= '9', c == '$':
		return !first
	}
	return false
}

// ParseSyncNames reads a value of synchronous_standby_names: a list, N (list), FIRST N (list) or ANY N (list).
func ParseSyncNames(s string) (SyncNames, error) {
	toks, err := syncTokens(s)
	if err != nil {
		return SyncNames{}, fmt.Errorf("%q: %w: %w", s, ErrBadSyncNames, err)
	}
	out, err := parseSyncTokens(toks)
	if err != nil {
		return SyncNames{}, fmt.Errorf("%q: %w: %w", s, ErrBadSyncNames, err)
	}
	return out, nil
}

// syncToken is a name (quoted or not), a number, or one of ( ) ,.
type syncToken struct {
	text string
	kind byte // 'n' name, 'q' quoted name, '0' number, or the character itself
}

func syncTokens(s string) ([]syncToken, error) {
	var out []syncToken
	for s = trimSpace(s); s != ""; s = trimSpace(s) {
		t, rest, err := syncToken1(s)
		if err != nil {
			return nil, err
		}
		out, s = append(out, t), rest
	}
	return out, nil
}

func syncToken1(s string) (syncToken, string, error) {
	c := s[0]
	switch {
	case c == '(' || c == ')' || c == ',':
		return syncToken{s[:1], c}, s[1:], nil
	case c == '*':
		return syncToken{"*", 'n'}, s[1:], nil
	case c == '"':
		return quotedSyncToken(s[1:])
	case c >= '0' && c <= '9':
		n := len(s) - len(strings.TrimLeft(s, "0123456789"))
		return syncToken{s[:n], '0'}, s[n:], nil
	case isIdentByte(c, true):
		n := 1
		for n < len(s) && isIdentByte(s[n], false) {
			n++
		}
		return syncToken{s[:n], 'n'}, s[n:], nil
	}
	return syncToken{}, "", fmt.Errorf("unexpected %q", c)
}

func quotedSyncToken(s string) (syncToken, string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '"' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			b.WriteByte('"')
			i++
			continue
		}
		if b.Len() == 0 {
			return syncToken{}, "", errors.New("empty name")
		}
		return syncToken{b.String(), 'q'}, s[i+1:], nil
	}
	return syncToken{}, "", errors.New("unterminated quoted name")
}

func parseSyncTokens(t []syncToken) (SyncNames, error) {
	if len(t) == 0 {
		return SyncNames{}, nil
	}
	out := SyncNames{Method: SyncFirst, Num: 1}
	// A first word FIRST or ANY is the method only when a number follows it; else it is a name, as in older versions.
	if t[0].kind == 'n' && len(t) > 1 && t[1].kind == '0' {
		switch {
		case strings.EqualFold(t[0].text, "first"):
		case strings.EqualFold(t[0].text, "any"):
			out.Method = SyncAny
		default:
			return SyncNames{}, fmt.Errorf("method %q is neither FIRST nor ANY", t[0].text)
		}
		t = t[1:]
	}
	if t[0].kind == '0' && len(t) > 1 && t[1].kind == '(' {
		n, err := strconv.Atoi(t[0].text)
		if err != nil || n < 1 {
			return SyncNames{}, fmt.Errorf("number of standbys %q must be greater than zero", t[0].text)
		}
		if t[len(t)-1].kind != ')' {
			return SyncNames{}, errors.New("missing )")
		}
		out.Num = n
		t = t[2 : len(t)-1]
	}
	names, err := syncNameList(t)
	out.Names = names
	return out, err
}

// syncNameList reads name, name, ...; a number may be a name there.
func syncNameList(t []syncToken) ([]string, error) {
	var names []string
	for i, tok := range t {
		comma := i%2 == 1
		if comma != (tok.kind == ',') || tok.kind == '(' || tok.kind == ')' {
			return nil, fmt.Errorf("unexpected %q", tok.text)
		}
		if !comma {
			names = append(names, tok.text)
		}
	}
	if len(t)%2 == 0 {
		return nil, errors.New("a name is missing")
	}
	return names, nil
}
