package rest

import (
	"net/http"
)

// v1Route is one operation of our own API. openapi.json describes exactly these; a test compares the two.
type v1Route struct {
	method, path string
	handler      http.HandlerFunc
}

func (s *Server) v1Table() []v1Route {
	return []v1Route{
		{"GET", "/v1/status", s.v1Status},
		{"GET", "/v1/cluster", s.v1Cluster},
		{"GET", "/v1/history", s.v1History},
		{"GET", "/v1/why", s.v1Why},
		{"GET", "/v1/operation", s.v1Operation},
		{"GET", "/v1/events", s.v1Events},
		{"GET", "/v1/openapi.json", s.v1OpenAPI},
		{"GET", "/v1/ui", s.v1UI},

		{"GET", "/v1/config", s.v1Config},
		{"PATCH", "/v1/config", s.write(s.v1PatchConfig)},
		{"PUT", "/v1/config", s.write(s.v1PutConfig)},
		{"POST", "/v1/pause", s.write(s.v1Pause)},
		{"POST", "/v1/resume", s.write(s.v1Resume)},

		{"POST", "/v1/switchover", s.write(s.v1Switchover)},
		{"DELETE", "/v1/switchover", s.write(s.v1CancelSwitchover)},
		{"POST", "/v1/failover", s.write(s.v1Failover)},
		{"POST", "/v1/restart", s.write(s.v1Restart)},
		{"DELETE", "/v1/restart", s.write(s.v1CancelRestart)},
		{"POST", "/v1/reload", s.write(s.v1Reload)},
		{"POST", "/v1/reinitialize", s.write(s.v1Reinitialize)},

		{"GET", "/v1/router", s.v1Router},
		{"GET", "/v1/router/sessions", s.private(s.v1Sessions)},
		{"DELETE", "/v1/router/sessions/{id}", s.write(s.v1KillSession)},

		{"GET", "/v1/process", s.v1Process},
		{"POST", "/v1/upgrade", s.write(s.v1Upgrade)},

		{"DELETE", "/v1/members/{name}", s.write(s.v1ForgetMember)},

		{"GET", "/v1/store/members", s.v1Members},
		{"POST", "/v1/store/members", s.write(s.v1AddMember)},
		{"POST", "/v1/store/members/{id}/promote", s.write(s.v1PromoteMember)},
		{"DELETE", "/v1/store/members/{id}", s.write(s.v1RemoveMember)},

		{"POST", "/v1/pledge", s.peer(s.postPledge)},
	}
}

// v1Routes are the paths of our own API.
func (s *Server) v1Routes() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.v1Table() {
		mux.HandleFunc(r.method+" "+r.path, r.handler)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close") // a body that nobody looked at may follow
		s.problem(w, http.StatusNotFound, r.Method+" "+r.URL.Path+" is no operation of this API; GET /v1/openapi.json lists them")
	})
	return mux
}

// problem is how /v1 tells an error.
type problem struct {
	Error problemText `json:"error"`
}

type problemText struct {
	Code    string `json:"code"`    // stable, for programs
	Message string `json:"message"` // for people: what is wrong, and the remedy
}

// problemCodes name the HTTP codes that /v1 answers with.
var problemCodes = map[int]string{
	http.StatusBadRequest:            "bad_request",
	http.StatusNotFound:              "not_found",
	http.StatusConflict:              "conflict",
	http.StatusLengthRequired:        "bad_request",
	http.StatusPreconditionFailed:    "not_possible",
	http.StatusRequestEntityTooLarge: "too_large",
	http.StatusUnprocessableEntity:   "bad_schedule",
	http.StatusBadGateway:            "not_confirmed",
	http.StatusServiceUnavailable:    "unavailable",
}

func (s *Server) problem(w http.ResponseWriter, code int, message string) {
	name, ok := problemCodes[code]
	if !ok {
		name = "internal"
	}
	s.json(w, code, problem{problemText{name, message}})
}

// outcome tells the end of an action: its sentence, or a problem.
func (s *Server) outcome(w http.ResponseWriter, a answer) {
	if a.code >= http.StatusBadRequest {
		s.problem(w, a.code, a.text)
		return
	}
	s.json(w, a.code, struct {
		Message string `json:"message"`
	}{a.text})
}

// private wraps a read that is told only to who may write: it names clients and users.
func (s *Server) private(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d := s.check(r, operators); d != nil {
			s.deny(w, r, d)
			return
		}
		h(w, r)
	}
}
