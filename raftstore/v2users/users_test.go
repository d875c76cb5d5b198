package v2users

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// The rules as a whole are compared with an etcd's in api/etcd2, TestAnswersOfEtcd. Here is what answers do not show.

func apply(t *testing.T, u *Users, changes ...Change) *Users {
	t.Helper()
	for _, c := range changes {
		before, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		next, r := u.Apply(c)
		if r.Err != nil {
			t.Fatalf("%+v: %v", c, r.Err)
		}
		if after, _ := json.Marshal(u); string(after) != string(before) {
			t.Fatalf("%s has changed what was there: %s, was %s", c.Op, after, before)
		}
		u = next
	}
	return u
}

// A change leaves the users that others are reading as they were, and saved users come back the same.
func TestChangesMakeNewUsers(t *testing.T) {
	u := apply(t, nil,
		Change{Op: PutUser, User: &User{Name: "root", Password: "h"}},
		Change{Op: PutUser, User: &User{Name: "eve", Password: "h"}},
		Change{Op: CreateRole, Role: &Role{Name: "r", Permissions: Permissions{KV: Access{Read: []string{"/b", "/a"}}}}},
		Change{Op: UpdateUser, User: &User{Name: "eve", Grant: []string{"z", "r"}}},
		Change{Op: UpdateUser, User: &User{Name: "eve", Grant: []string{"a"}, Revoke: []string{"z"}}},
		Change{Op: UpdateRole, Role: &Role{Name: "r", Grant: &Permissions{KV: Access{Write: []string{"/w"}}}, Revoke: &Permissions{KV: Access{Read: []string{"/b"}}}}},
		Change{Op: Enable}, Change{Op: Disable}, Change{Op: Enable},
		Change{Op: DeleteRole, Role: &Role{Name: "guest"}}, Change{Op: DeleteUser, User: &User{Name: "eve"}},
	)
	saved, err := json.Marshal(u)
	if err != nil {
		t.Fatal(err)
	}
	again := &Users{}
	if err := json.Unmarshal(saved, again); err != nil || !reflect.DeepEqual(u, again) {
		t.Errorf("%+v came back as %+v, %v", u, again, err)
	}
	for _, c := range []Change{{}, {Op: "other"}, {Op: Enable, User: &User{}}, {Op: CreateUser, Role: &Role{}}} {
		var refused *Error
		if next, r := u.Apply(c); !errors.As(r.Err, &refused) || next != u {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

func TestAllow(t *testing.T) {
	u := apply(t, nil,
		Change{Op: CreateRole, Role: &Role{Name: "r", Permissions: Permissions{KV: Access{Read: []string{"/a*", "/one", ""}, Write: []string{"/w/*"}}}}},
		Change{Op: CreateRole, Role: &Role{Name: Guest, Permissions: Permissions{KV: Access{Read: []string{"/one"}}}}},
	)
	eve := User{Name: "eve", Roles: []string{"gone", "r"}}
	for _, c := range []struct {
		key              string
		write, recursive bool
		want, guest      bool
	}{
		{key: "/a", want: true}, {key: "/ab/c", want: true}, {key: "/ab", recursive: true, want: true}, {key: "/a", write: true},
		{key: "/one", want: true, guest: true}, {key: "/one", recursive: true, guest: true}, {key: "/one/x"}, {key: ""}, {key: "/"},
		{key: "/w/x", write: true, want: true}, {key: "/w", write: true}, {key: "/w/", write: true, recursive: true, want: true}, {key: "/w/x"},
	} {
		if got := u.Allow(eve, c.key, c.write, c.recursive); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
		if got := u.AllowGuest(c.key, c.write); got != c.guest {
			t.Errorf("%+v: a guest %v", c, got)
		}
		if !u.Allow(User{Roles: []string{Root}}, c.key, c.write, c.recursive) {
			t.Errorf("%+v: not root", c)
		}
	}
	if (*Users)(nil).AllowGuest("/", false) || (*Users)(nil).On() {
		t.Error("nobody has said that there are guests")
	}
}

// FuzzChanges: whatever stands in the log, one change a line, gives users that can be saved and asked.
func FuzzChanges(f *testing.F) {
	f.Add(`{"op":"put user","user":{"user":"root","password":"h"}}
{"op":"enable"}
{"op":"update user","user":{"user":"root","grant":["a","b"],"revoke":["root"]}}
{"op":"create role","role":{"role":"a","permissions":{"kv":{"read":["","*","/a*"]}}}}
{"op":"update role","role":{"role":"a","grant":{"kv":{"write":["/b"]}},"revoke":{"kv":{"read":["*"]}}}}
{"op":"delete role","role":{"role":"guest"}}
{"op":"disable"}
{"op":"delete user","user":{"user":"root"}}`)
	f.Fuzz(func(t *testing.T, lines string) {
		var u *Users
		for line := range strings.Lines(lines) {
			var c Change
			if json.Unmarshal([]byte(line), &c) != nil {
				continue
			}
			next, r := u.Apply(c)
			if r.Err != nil && next != u {
				t.Fatalf("%s: refused and done: %v", line, r.Err)
			}
			u = next
		}
		saved, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		var again *Users
		if err := json.Unmarshal(saved, &again); err != nil {
			t.Fatal(err)
		}
		if twice, err := json.Marshal(again); err != nil || string(twice) != string(saved) {
			t.Errorf("%s came back as %s, %v", saved, twice, err)
		}
		for _, name := range u.UserNames() {
			who, ok := u.User(name)
			if there := u.Allow(who, lines, true, true); there && !u.Allow(who, lines, true, false) {
				t.Errorf("%s may write what is below %q and not it", name, lines)
			}
			if !ok || name == Root && !who.Has(Root) {
				t.Errorf("%s is %+v", name, who)
			}
		}
		for _, name := range u.RoleNames() {
			if _, ok := u.Role(name); !ok {
				t.Errorf("role %q is named and not there", name)
			}
		}
	})
}
