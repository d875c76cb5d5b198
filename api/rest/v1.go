package rest

import "net/http"

// problem is how /v1 tells an error.
type problem struct {
	Error problemText `json:"error"`
}

type problemText struct {
	Code    string `json:"code"`    // stable, for programs
	Message string `json:"message"` // for people: what is wrong, and the remedy
}

func (s *Server) problem(w http.ResponseWriter, code int, name, message string) {
	s.json(w, code, problem{problemText{name, message}})
}

// v1Routes are the paths of our own API.
func (s *Server) v1Routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/pledge", s.peer(s.postPledge))
	return mux
}
