package v2users

import (
	"fmt"
	"reflect"
	"slices"
)

// Op is what a [Change] does.
type Op string

// The operations.
const (
	CreateUser Op = "create user"
	PutUser    Op = "put user" // creates, or changes the password or the roles
	UpdateUser Op = "update user"
	DeleteUser Op = "delete user"
	CreateRole Op = "create role"
	UpdateRole Op = "update role"
	DeleteRole Op = "delete role"
	Enable     Op = "enable" // users are checked from now on
	Disable    Op = "disable"
)

// Change is one change of the users and roles. User or Role is what it is about, of which a deletion needs the name alone.
type Change struct {
	Op   Op    `json:"op"`
	User *User `json:"user,omitempty"`
	Role *Role `json:"role,omitempty"`
}

// Result is what became of a change: the user or role as it is now, or why nothing was done.
type Result struct {
	User    *User  `json:"user,omitempty"`
	Role    *Role  `json:"role,omitempty"`
	Created bool   `json:"created,omitempty"`
	Err     *Error `json:"err,omitempty"`
}

// Kind says what is wrong with a change.
type Kind string

// The kinds: what is asked makes no sense, is never allowed, is about nobody, or does not fit what is there.
const (
	Bad       Kind = "bad"
	Forbidden Kind = "forbidden"
	NotFound  Kind = "not found"
	Conflict  Kind = "conflict"
)

// Error is why a change was not made.
type Error struct {
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}

// Error implements error, in etcd's words.
func (e *Error) Error() string { return "auth: " + e.Text }

func fault(k Kind, text string, args ...any) *Error {
	return &Error{Kind: k, Text: fmt.Sprintf(text, args...)}
}

// Unknown is the error of somebody or something that is not there, as a read tells it.
func Unknown(what, name string) *Error { return fault(NotFound, "%s %s does not exist.", what, name) }

// Apply makes a change of u, which stays as it is. Passwords in it are hashes. After a refusal the Users are u itself.
func (u *Users) Apply(c Change) (*Users, Result) {
	next := u.clone()
	var r Result
	switch {
	case c.User != nil:
		r = next.changeUser(c.Op, *c.User)
	case c.Role != nil:
		r = next.changeRole(c.Op, *c.Role)
	case c.Op == Enable:
		r.Err = next.enable()
	case c.Op == Disable && !next.Enabled:
		r.Err = fault(Conflict, "already disabled")
	case c.Op == Disable:
		next.Enabled = false
	default:
		r.Err = fault(Bad, "unknown operation %s", c.Op)
	}
	if r.Err != nil {
		return u, Result{Err: r.Err}
	}
	return next, r
}

func (u *Users) enable() *Error {
	if u.Enabled {
		return fault(Conflict, "already enabled")
	}
	if _, ok := u.Users[Root]; !ok {
		return fault(Conflict, "No root user available, please create one")
	}
	if _, ok := u.Roles[Guest]; !ok {
		u.Roles[Guest] = guestRole
	}
	u.Enabled = true
	return nil
}

func (u *Users) changeUser(op Op, in User) Result {
	old, there := u.User(in.Name)
	switch {
	case op == CreateUser, op == PutUser && !there:
		return u.createUser(in, there, op == PutUser)
	case op == PutUser, op == UpdateUser:
		return u.updateUser(old, in, there)
	case op == DeleteUser && u.Enabled && in.Name == Root:
		return Result{Err: fault(Forbidden, "Cannot delete root user while auth is enabled.")}
	case op == DeleteUser && !there:
		return Result{Err: fault(NotFound, "User %s does not exist", in.Name)}
	case op == DeleteUser:
		delete(u.Users, in.Name)
		return Result{}
	}
	return Result{Err: fault(Bad, "unknown operation %s of a user", op)}
}

// createUser says by created what etcd says: nothing, where roles came with it.
func (u *Users) createUser(in User, there, created bool) Result {
	if in.Password == "" {
		return Result{Err: fault(Bad, "Cannot create user %s with an empty password", in.Name)}
	}
	if there {
		return Result{Err: fault(Conflict, "User %s already exists.", in.Name)}
	}
	in = withRoot(in)
	u.Users[in.Name] = in
	return Result{User: &in, Created: created}
}

func (u *Users) updateUser(old, in User, there bool) Result {
	if !there {
		return Result{Err: Unknown("User", in.Name)}
	}
	next := User{Name: old.Name, Password: old.Password}
	if in.Password != "" {
		next.Password = in.Password
	}
	var err *Error
	next.Roles, err = granted(old.Roles, in.Grant, func(role string) *Error {
		return fault(Conflict, "Granting duplicate role %s for user %s", role, in.Name)
	})
	if err != nil {
		return Result{Err: err}
	}
	for _, role := range in.Revoke {
		if !next.Has(role) {
			return Result{Err: fault(Conflict, "Revoking ungranted role %s for user %s", role, in.Name)}
		}
		next.Roles = slices.DeleteFunc(next.Roles, func(r string) bool { return r == role })
	}
	if reflect.DeepEqual(old, next) {
		return Result{Err: fault(Bad, "User not updated. Use grant/revoke/password to update the user.")}
	}
	u.Users[in.Name] = next
	return Result{User: &next}
}

func (u *Users) changeRole(op Op, in Role) Result {
	if in.Name == Root {
		return Result{Err: fault(Forbidden, "Cannot modify role %s: is root role.", in.Name)}
	}
	old, there := u.Roles[in.Name]
	switch {
	case op == CreateRole && there:
		return Result{Err: fault(Conflict, "Role %s already exists.", in.Name)}
	case op == CreateRole:
		u.Roles[in.Name] = in
		return Result{Role: &in, Created: true}
	case op == UpdateRole:
		return u.updateRole(old, in, there)
	case op == DeleteRole && !there:
		return Result{Err: fault(NotFound, "Role %s doesn't exist.", in.Name)}
	case op == DeleteRole:
		delete(u.Roles, in.Name)
		return Result{}
	}
	return Result{Err: fault(Bad, "unknown operation %s of a role", op)}
}

func (u *Users) updateRole(old, in Role, there bool) Result {
	if !there {
		return Result{Err: Unknown("Role", in.Name)}
	}
	next := Role{Name: old.Name}
	var err *Error
	if next.Permissions, err = old.Permissions.grant(in.Grant); err != nil {
		return Result{Err: err}
	}
	next.Permissions = next.Permissions.revoke(in.Revoke)
	if reflect.DeepEqual(old, next) {
		return Result{Err: fault(Bad, "Role not updated. Use grant/revoke to update the role.")}
	}
	u.Roles[in.Name] = next
	return Result{Role: &next}
}
