package v2users

import (
	"slices"
	"strings"
)

// Role is a set of permissions with a name, as the API shows and takes it. Grant and Revoke are for a change of the permissions.
type Role struct {
	Name        string       `json:"role"`
	Permissions Permissions  `json:"permissions"`
	Grant       *Permissions `json:"grant,omitempty"`
	Revoke      *Permissions `json:"revoke,omitempty"`
}

// Permissions are what a role may do.
type Permissions struct {
	KV Access `json:"kv"`
}

// Empty says whether they allow nothing.
func (p *Permissions) Empty() bool { return p == nil || len(p.KV.Read) == 0 && len(p.KV.Write) == 0 }

// Access lists the keys that may be read and written: one key each, or with a star at the end all that begin so.
type Access struct {
	Read  []string `json:"read"`
	Write []string `json:"write"`
}

var (
	everything = Permissions{KV: Access{Read: []string{"/*"}, Write: []string{"/*"}}}
	rootRole   = Role{Name: Root, Permissions: everything}
	// guestRole is what guests may do when users are checked for the first time and nobody has said it.
	guestRole = Role{Name: Guest, Permissions: everything}
)

func (a Access) patterns(write bool) []string {
	if write {
		return a.Write
	}
	return a.Read
}

func (a Access) covers(key string, write bool) bool {
	return slices.ContainsFunc(a.patterns(write), func(pattern string) bool {
		prefix, starred := strings.CutSuffix(pattern, "*")
		if starred {
			return strings.HasPrefix(key, prefix)
		}
		return key == pattern && pattern != ""
	})
}

// below is covers for a key with all that is below it: only a pattern with a star can mean that.
func (a Access) below(key string, write bool) bool {
	return slices.ContainsFunc(a.patterns(write), func(pattern string) bool {
		prefix, starred := strings.CutSuffix(pattern, "*")
		return starred && strings.HasPrefix(key, prefix)
	})
}

// granted is a list with more in it, sorted; what is twice is named by twice.
func granted(have, more []string, twice func(name string) *Error) ([]string, *Error) {
	out := slices.Clone(have)
	for _, name := range more {
		if slices.Contains(out, name) {
			return nil, twice(name)
		}
		out = append(out, name)
	}
	return tidy(out), nil
}

// tidy is sorted, without repeats, and never nil: answers say [] then, as etcd's do.
func tidy(list []string) []string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return slices.Compact(out)
}

// grant adds permissions.
func (p Permissions) grant(more *Permissions) (Permissions, *Error) {
	if more == nil {
		return p, nil
	}
	var out Permissions
	var err *Error
	out.KV.Read, err = granted(p.KV.Read, more.KV.Read, func(key string) *Error {
		return fault(Conflict, "Granting duplicate read permission %s", key)
	})
	if err != nil {
		return out, err
	}
	out.KV.Write, err = granted(p.KV.Write, more.KV.Write, func(key string) *Error {
		return fault(Conflict, "Granting duplicate write permission %s", key)
	})
	return out, err
}

// revoke takes permissions away. One that is not there is passed over.
func (p Permissions) revoke(less *Permissions) Permissions {
	if less == nil {
		return p
	}
	without := func(have, gone []string) []string {
		return slices.DeleteFunc(tidy(have), func(key string) bool { return slices.Contains(gone, key) })
	}
	return Permissions{KV: Access{Read: without(p.KV.Read, less.KV.Read), Write: without(p.KV.Write, less.KV.Write)}}
}
