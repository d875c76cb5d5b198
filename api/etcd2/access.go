package etcd2

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"

	"go.etcd.io/etcd/server/v3/etcdserver/api/v2error"

	"quorate/raftstore/v2users"
)

// access is who sends a request, and by which users and roles he is judged.
type access struct {
	users *v2users.Users
	// who is nil for who names no user, or is not whom he says he is.
	who *v2users.User
	// guest says that the request names no user.
	guest bool
}

// access reads the users as this member has them. It answers itself, by an error, when the member does not know them: they might be checked.
func (h *Handler) access(w http.ResponseWriter, r *http.Request) (access, bool) {
	users, err := h.store.V2Users(r.Context())
	if err != nil {
		if strings.HasPrefix(r.URL.Path, keysPrefix) {
			h.fail(w, err)
		} else {
			h.authError(w, err)
		}
		return access{}, false
	}
	a := access{users: users}
	if !users.On() {
		return a, true
	}
	if r.Header.Get("Authorization") != "" {
		a.who = h.byPassword(users, r)
		return a, true
	}
	if h.certUsers {
		a.who = byCertificate(users, r)
	}
	a.guest = a.who == nil
	return a, true
}

func (h *Handler) byPassword(users *v2users.Users, r *http.Request) *v2users.User {
	name, password, ok := r.BasicAuth()
	if !ok {
		h.log.Warn("malformed basic auth encoding")
		return nil
	}
	u, known := users.User(name)
	if !known || !h.passwords.match(u, password) {
		h.log.Warn("a v2 request with a wrong user or password was refused", "user", name, "remote_addr", r.RemoteAddr)
		return nil
	}
	return &u
}

// byCertificate is the user whose name a verified certificate of the client has.
func byCertificate(users *v2users.Users, r *http.Request) *v2users.User {
	if r.TLS == nil {
		return nil
	}
	for _, chain := range r.TLS.VerifiedChains {
		if len(chain) == 0 {
			continue
		}
		if u, known := users.User(chain[0].Subject.CommonName); known {
			return &u
		}
	}
	return nil
}

// requireRoot says whether the sender is root where users are checked, and answers itself when he is not.
func (a access) requireRoot(w http.ResponseWriter) bool {
	if !a.users.On() || a.who != nil && a.who.Has(v2users.Root) {
		return true
	}
	w.Header().Del(clusterHeader)
	writeMessage(w, http.StatusUnauthorized, "Insufficient credentials")
	return false
}

// requireKey is requireRoot for what a request on the keys needs. The key is as the URL has it, as in etcd: /a/ is not /a.
func (a access) requireKey(w http.ResponseWriter, r *http.Request, recursive bool) bool {
	if !a.users.On() {
		return true
	}
	key, write := strings.TrimPrefix(r.URL.Path, keysPrefix), r.Method != http.MethodGet && r.Method != http.MethodHead
	switch {
	case a.guest && a.users.AllowGuest(key, write):
		return true
	case a.who != nil && a.users.Allow(*a.who, key, write, recursive):
		return true
	}
	_ = v2error.NewError(v2error.EcodeUnauthorized, "Insufficient credentials", 0).WriteTo(w) // the client has gone
	return false
}

// passwords remembers which passwords were right: telling takes tens of milliseconds of a processor, and clients send theirs with every
// request. Of a password it keeps a keyed hash whose key is nowhere else.
type passwords struct {
	key []byte

	mu    sync.Mutex        // guards right
	right map[string][]byte // by the hash that the password was right for
}

// mostPasswords bounds what is remembered; beyond it everything is forgotten.
const mostPasswords = 1000

func newPasswords() *passwords {
	p := &passwords{key: make([]byte, sha256.Size), right: map[string][]byte{}}
	_, _ = rand.Read(p.key) // which never fails
	return p
}

func (p *passwords) match(u v2users.User, password string) bool {
	mac := hmac.New(sha256.New, p.key)
	mac.Write([]byte(password))
	sum := mac.Sum(nil)
	p.mu.Lock()
	known := p.right[u.Password]
	p.mu.Unlock()
	if hmac.Equal(known, sum) {
		return true
	}
	if !u.Is(password) {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.right) >= mostPasswords {
		clear(p.right)
	}
	p.right[u.Password] = sum
	return true
}
