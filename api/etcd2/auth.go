package etcd2

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
	"strings"

	"quorate/raftstore/v2users"
)

// authPrefix is where the pages of users and roles are. Only root may see and change them once users are checked.
const authPrefix = "/v2/auth"

// maxAuthBody bounds the body that describes a user or a role.
const maxAuthBody = 1 << 20

// serveEnabled says whether users are checked, to everybody, and switches it.
func (h *Handler) serveEnabled(w http.ResponseWriter, r *http.Request) {
	a, ok := h.access(w, r)
	if !ok || r.Method != http.MethodGet && !a.requireRoot(w) {
		return
	}
	switch r.Method {
	case http.MethodGet:
		writeJSON(w, http.StatusOK, struct {
			Enabled bool `json:"enabled"`
		}{a.users.On()})
	case http.MethodPut:
		h.changeAuth(w, r, v2users.Change{Op: v2users.Enable})
	case http.MethodDelete:
		h.changeAuth(w, r, v2users.Change{Op: v2users.Disable})
	}
}

// serveRoles and serveUsers answer for /v2/auth/roles and /v2/auth/users, and for one name below it.
func (h *Handler) serveRoles(w http.ResponseWriter, r *http.Request) {
	h.serveList(w, r, h.listRoles, h.serveRole)
}

func (h *Handler) serveUsers(w http.ResponseWriter, r *http.Request) {
	h.serveList(w, r, h.listUsers, h.serveUser)
}

func (h *Handler) serveList(w http.ResponseWriter, r *http.Request,
	list func(http.ResponseWriter, *v2users.Users), one func(http.ResponseWriter, *http.Request, *v2users.Users, string),
) {
	pieces := strings.Split(path.Clean(strings.TrimPrefix(r.URL.Path, authPrefix)), "/") // "", the list's name, and one in it
	if len(pieces) > 3 {
		w.Header().Del(clusterHeader)
		writeMessage(w, http.StatusBadRequest, "Invalid path")
		return
	}
	if len(pieces) == 2 && r.Method != http.MethodGet {
		w.Header().Del(clusterHeader)
		notAllowed(w, http.MethodGet)
		return
	}
	a, ok := h.access(w, r)
	if !ok || !a.requireRoot(w) {
		return
	}
	if len(pieces) == 2 {
		list(w, a.users)
		return
	}
	one(w, r, a.users, pieces[2])
}

func (h *Handler) listRoles(w http.ResponseWriter, users *v2users.Users) {
	var all struct {
		Roles []v2users.Role `json:"roles"`
	}
	for _, name := range users.RoleNames() {
		role, _ := users.Role(name) // it was named a moment ago, and Users do not change
		all.Roles = append(all.Roles, role)
	}
	writeJSON(w, http.StatusOK, all)
}

// shownUser is a user with what his roles mean.
type shownUser struct {
	User  string         `json:"user"`
	Roles []v2users.Role `json:"roles,omitempty"`
}

// show is a user, and the first of his roles that is not there any more.
func show(users *v2users.Users, u v2users.User) (shown shownUser, missing string) {
	shown.User = u.Name
	for _, name := range u.Roles {
		switch role, ok := users.Role(name); {
		case ok:
			shown.Roles = append(shown.Roles, role)
		case missing == "":
			missing = name
		}
	}
	return shown, missing
}

func (h *Handler) listUsers(w http.ResponseWriter, users *v2users.Users) {
	var all struct {
		Users []shownUser `json:"users"`
	}
	for _, name := range users.UserNames() {
		u, _ := users.User(name)
		shown, _ := show(users, u)
		all.Users = append(all.Users, shown)
	}
	writeJSON(w, http.StatusOK, all)
}

func (h *Handler) serveRole(w http.ResponseWriter, r *http.Request, users *v2users.Users, name string) {
	switch r.Method {
	case http.MethodGet:
		role, ok := users.Role(name)
		if !ok {
			h.authError(w, v2users.Unknown("Role", name))
			return
		}
		writeJSON(w, http.StatusOK, role)
	case http.MethodPut:
		var in v2users.Role
		switch {
		case !readAuth(w, r, &in):
		case in.Name != name:
			writeMessage(w, http.StatusBadRequest, "Role JSON name does not match the name in the URL")
		case in.Grant.Empty() && in.Revoke.Empty():
			h.changeAuth(w, r, v2users.Change{Op: v2users.CreateRole, Role: &in})
		case !in.Permissions.Empty():
			writeMessage(w, http.StatusBadRequest, "Role JSON contains both permissions and grant/revoke")
		default:
			h.changeAuth(w, r, v2users.Change{Op: v2users.UpdateRole, Role: &in})
		}
	case http.MethodDelete:
		h.changeAuth(w, r, v2users.Change{Op: v2users.DeleteRole, Role: &v2users.Role{Name: name}})
	}
}

func (h *Handler) serveUser(w http.ResponseWriter, r *http.Request, users *v2users.Users, name string) {
	switch r.Method {
	case http.MethodGet:
		u, ok := users.User(name)
		if !ok {
			h.authError(w, v2users.Unknown("User", name))
			return
		}
		shown, missing := show(users, u)
		if missing != "" {
			h.authError(w, v2users.Unknown("Role", missing))
			return
		}
		writeJSON(w, http.StatusOK, shown)
	case http.MethodPut:
		var in v2users.User
		changes := func() bool { return len(in.Grant) > 0 || len(in.Revoke) > 0 }
		switch {
		case !readAuth(w, r, &in):
		case in.Name != name:
			writeMessage(w, http.StatusBadRequest, "User JSON name does not match the name in the URL")
		case changes() && len(in.Roles) > 0:
			writeMessage(w, http.StatusBadRequest, "User JSON contains both roles and grant/revoke")
		case changes():
			h.changeAuth(w, r, v2users.Change{Op: v2users.UpdateUser, User: &in})
		case len(in.Roles) > 0:
			h.changeAuth(w, r, v2users.Change{Op: v2users.CreateUser, User: &in})
		default:
			h.changeAuth(w, r, v2users.Change{Op: v2users.PutUser, User: &in})
		}
	case http.MethodDelete:
		h.changeAuth(w, r, v2users.Change{Op: v2users.DeleteUser, User: &v2users.User{Name: name}})
	}
}

// readAuth reads a user or a role, and answers itself when that is none.
func readAuth(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAuthBody)).Decode(into); err != nil {
		writeMessage(w, http.StatusBadRequest, "Invalid JSON in request body.")
		return false
	}
	return true
}

// changeAuth makes a change and shows what came of it.
func (h *Handler) changeAuth(w http.ResponseWriter, r *http.Request, c v2users.Change) {
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()
	res, err := h.store.V2ChangeUsers(ctx, c)
	if err != nil {
		h.authError(w, err)
		return
	}
	h.log.Info("v2 users were changed", "operation", string(c.Op))
	code := http.StatusOK
	if res.Created {
		code = http.StatusCreated
	}
	switch {
	case res.User != nil:
		shown := *res.User
		shown.Password = ""
		writeJSON(w, code, shown)
	case res.Role != nil:
		writeJSON(w, code, res.Role)
	default:
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
	}
}

// authStatus is how HTTP says what is wrong with a change.
var authStatus = map[v2users.Kind]int{
	v2users.Bad: http.StatusBadRequest, v2users.Forbidden: http.StatusForbidden,
	v2users.NotFound: http.StatusNotFound, v2users.Conflict: http.StatusConflict,
}

func (h *Handler) authError(w http.ResponseWriter, err error) {
	var refusal *v2users.Error
	if errors.As(err, &refusal) {
		writeMessage(w, authStatus[refusal.Kind], refusal.Error())
		return
	}
	h.log.Warn("the v2 users cannot be read or changed", "error", err)
	writeMessage(w, http.StatusInternalServerError, err.Error())
}
