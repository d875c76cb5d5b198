package v2users

import (
	"maps"
	"slices"

	"golang.org/x/crypto/bcrypt"
)

// The names that mean something: the user root, who exists before users are checked and always has the role root; that role, which may do
// everything and cannot be changed; and the role of who names no user.
const (
	Root  = "root"
	Guest = "guest"
)

// User is somebody with a password and roles, as the API shows and takes it. Grant and Revoke are for a change of the roles.
type User struct {
	Name string `json:"user"`
	// Password is a bcrypt hash; in what a client sends it is the password itself.
	Password string   `json:"password,omitempty"`
	Roles    []string `json:"roles"`
	Grant    []string `json:"grant,omitempty"`
	Revoke   []string `json:"revoke,omitempty"`
}

// Is says whether a password is the user's. It takes tens of milliseconds, on purpose.
func (u User) Is(password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(u.Password), []byte(password)) == nil
}

// Has says whether the user has a role.
func (u User) Has(role string) bool { return slices.Contains(u.Roles, role) }

// Users are all users and roles. The nil Users are those of a new cluster: nobody, and nobody is asked. Fields are not to be changed.
type Users struct {
	Enabled bool            `json:"enabled"`
	Users   map[string]User `json:"users"`
	Roles   map[string]Role `json:"roles"`
}

// On says whether users are checked.
func (u *Users) On() bool { return u != nil && u.Enabled }

// User finds a user. root always has the role root.
func (u *Users) User(name string) (User, bool) {
	if u == nil {
		return User{}, false
	}
	user, ok := u.Users[name]
	return withRoot(user), ok
}

func withRoot(u User) User {
	if u.Name == Root && !u.Has(Root) {
		u.Roles = append(slices.Clone(u.Roles), Root)
	}
	return u
}

// Role finds a role. The role root is always there.
func (u *Users) Role(name string) (Role, bool) {
	if name == Root {
		return rootRole, true
	}
	if u == nil {
		return Role{}, false
	}
	role, ok := u.Roles[name]
	return role, ok
}

// UserNames are the names of all users, sorted.
func (u *Users) UserNames() []string {
	if u == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(u.Users))
}

// RoleNames are the names of all roles, sorted, root among them.
func (u *Users) RoleNames() []string {
	names := []string{Root}
	if u != nil {
		names = slices.AppendSeq(names, maps.Keys(u.Roles))
	}
	slices.Sort(names)
	return names
}

// Allow says whether a user may read (or write) a key, which begins with a slash; recursively: all that is below it, too.
func (u *Users) Allow(who User, key string, write, recursive bool) bool {
	for _, name := range who.Roles {
		role, ok := u.Role(name)
		switch {
		case !ok: // it was deleted
		case name == Root, recursive && role.Permissions.KV.below(key, write), !recursive && role.Permissions.KV.covers(key, write):
			return true
		}
	}
	return false
}

// AllowGuest is Allow for who names no user. etcd does not ask here whether a request is recursive, and clients rely on what guests may do.
func (u *Users) AllowGuest(key string, write bool) bool {
	role, ok := u.Role(Guest)
	return ok && role.Permissions.KV.covers(key, write)
}

// clone is a copy that may be changed, but for what its maps hold.
func (u *Users) clone() *Users {
	c := &Users{Users: map[string]User{}, Roles: map[string]Role{}}
	if u != nil {
		c.Enabled = u.Enabled
		maps.Copy(c.Users, u.Users)
		maps.Copy(c.Roles, u.Roles)
	}
	return c
}
