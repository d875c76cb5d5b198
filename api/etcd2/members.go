package etcd2

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
)

const membersPrefix = "/v2/members"

// member is a store host as /v2/members shows it.
type member struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
}

func toMember(m *pb.Member) member {
	return member{ID: hexID(m.ID), Name: m.Name, PeerURLs: orEmpty(m.PeerURLs), ClientURLs: orEmpty(m.ClientURLs)}
}

// orEmpty keeps a list from becoming null.
func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// serveMachines is where python-etcd discovers the hosts.
func (h *Handler) serveMachines(w http.ResponseWriter, r *http.Request) {
	members, err := h.members(r.Context())
	if err != nil {
		h.fail(w, err)
		return
	}
	var urls []string
	for _, m := range members {
		urls = append(urls, m.ClientURLs...)
	}
	slices.Sort(urls)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(strings.Join(urls, ", "))) // the client has gone
}

// members is the list as this member has it: it must be readable while there is no leader.
func (h *Handler) members(ctx context.Context) ([]*pb.Member, error) {
	resp, err := h.store.MemberList(ctx, &pb.MemberListRequest{})
	if err != nil {
		return nil, err
	}
	return resp.Members, nil
}

func (h *Handler) serveMembers(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		if a, ok := h.access(w, r); !ok || !a.requireRoot(w) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
	defer cancel()
	name := strings.Trim(strings.TrimPrefix(r.URL.Path, membersPrefix), "/")
	switch r.Method {
	case http.MethodGet:
		h.listMembers(ctx, w, name)
	case http.MethodPost:
		h.addMember(ctx, w, r)
	case http.MethodPut:
		h.updateMember(ctx, w, r, name)
	case http.MethodDelete:
		h.removeMember(ctx, w, name)
	}
}

func (h *Handler) listMembers(ctx context.Context, w http.ResponseWriter, name string) {
	members, err := h.members(ctx)
	if err != nil {
		writeMessage(w, http.StatusInternalServerError, err.Error())
		return
	}
	switch name {
	case "":
		list := struct {
			Members []member `json:"members"`
		}{[]member{}}
		for _, m := range members {
			list.Members = append(list.Members, toMember(m))
		}
		writeJSON(w, http.StatusOK, list)
	case "leader":
		leader := h.store.Leader()
		for _, m := range members {
			if leader != 0 && m.ID == leader {
				writeJSON(w, http.StatusOK, toMember(m))
				return
			}
		}
		writeMessage(w, http.StatusServiceUnavailable, "During election")
	default:
		writeMessage(w, http.StatusNotFound, "Not found")
	}
}

func (h *Handler) addMember(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	urls, ok := readPeerURLs(w, r)
	if !ok {
		return
	}
	resp, err := h.store.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls})
	if err != nil {
		h.memberError(w, err, "")
		return
	}
	writeJSON(w, http.StatusCreated, toMember(resp.Member))
}

func (h *Handler) updateMember(ctx context.Context, w http.ResponseWriter, r *http.Request, name string) {
	id, ok := memberID(w, name)
	if !ok {
		return
	}
	urls, ok := readPeerURLs(w, r)
	if !ok {
		return
	}
	if _, err := h.store.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: id, PeerURLs: urls}); err != nil {
		h.memberError(w, err, name)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) removeMember(ctx context.Context, w http.ResponseWriter, name string) {
	id, ok := memberID(w, name)
	if !ok {
		return
	}
	if _, err := h.store.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: id}); err != nil {
		h.memberError(w, err, name)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) memberError(w http.ResponseWriter, err error, name string) {
	switch {
	case errors.Is(err, membership.ErrIDRemoved):
		writeMessage(w, http.StatusGone, "Member permanently removed: "+name)
	case errors.Is(err, membership.ErrIDNotFound):
		writeMessage(w, http.StatusNotFound, "No such member: "+name)
	case errors.Is(err, membership.ErrIDExists), errors.Is(err, membership.ErrPeerURLexists):
		writeMessage(w, http.StatusConflict, err.Error())
	default:
		h.log.Warn("changing the members failed", "error", err)
		writeMessage(w, http.StatusInternalServerError, err.Error())
	}
}

func memberID(w http.ResponseWriter, name string) (uint64, bool) {
	if name == "" {
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return 0, false
	}
	id, err := strconv.ParseUint(name, 16, 64)
	if err != nil {
		writeMessage(w, http.StatusNotFound, "No such member: "+name)
	}
	return id, err == nil
}

// maxMemberBody bounds the body that names peer URLs.
const maxMemberBody = 64 * 1024

func readPeerURLs(w http.ResponseWriter, r *http.Request) ([]string, bool) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		writeMessage(w, http.StatusUnsupportedMediaType, "Bad Content-Type "+kind+", accept application/json")
		return nil, false
	}
	var body struct {
		PeerURLs []string `json:"peerURLs"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMemberBody)).Decode(&body); err != nil {
		writeMessage(w, http.StatusBadRequest, err.Error())
		return nil, false
	}
	return body.PeerURLs, true
}
