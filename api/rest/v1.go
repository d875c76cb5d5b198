package rest

import "net/http"

// v1Routes are the paths of our own API.
func (s *Server) v1Routes() http.Handler {
	mux := http.NewServeMux()
	return mux
}
