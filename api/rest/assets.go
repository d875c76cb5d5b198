package rest

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI []byte

//go:embed ui.html
var uiPage []byte

func (s *Server) v1OpenAPI(w http.ResponseWriter, _ *http.Request) {
	s.reply(w, http.StatusOK, "application/json", openAPI)
}

// v1UI is a page for people. It only reads; nothing is loaded from elsewhere, and nothing may be.
func (s *Server) v1UI(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	s.reply(w, http.StatusOK, "text/html; charset=utf-8", uiPage)
}
