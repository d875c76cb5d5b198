package rest

import (
	"errors"
	"io"
	"net/http"

	"quorate/internal/config/dynamic"
)

// The bounds on bodies, in bytes. The store takes 1.5 MiB in one request (etcd's --max-request-bytes).
const (
	maxConfigBody = 1 << 20
	maxActionBody = 64 << 10
)

// object reads a JSON object from the body. When it cannot, it answers and reports false.
func (s *Server) object(w http.ResponseWriter, r *http.Request, limit int64, optional bool) (map[string]any, bool) {
	m, bad := s.readObject(w, r, limit, optional)
	if bad != nil {
		s.page(w, bad.code, bad.text)
	}
	return m, bad == nil
}

// readObject reads a JSON object from the body. The codes for what is none are Patroni's: 411 without a length, 400 for an empty
// object or something else; and 413 for too large a one. An optional body may be missing or empty.
func (s *Server) readObject(w http.ResponseWriter, r *http.Request, limit int64, optional bool) (map[string]any, *answer) {
	body, code, why := readBody(w, r, limit)
	switch {
	case optional && (code == http.StatusLengthRequired || code == 0 && len(body) == 0):
		return map[string]any{}, nil
	case code != 0:
		return nil, &answer{code, why}
	}
	m, err := dynamic.Decode(body)
	switch {
	case err != nil:
		return nil, &answer{http.StatusBadRequest, "The body cannot be taken: " + err.Error()}
	case len(m) == 0 && !optional:
		return nil, &answer{http.StatusBadRequest, "The object is empty."}
	}
	return m, nil
}

// readBody reads a bounded body; the server bounds the time. A code other than 0 says what is wrong with it.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) (body []byte, code int, why string) {
	if r.ContentLength == 0 && len(r.Header["Content-Length"]) == 0 {
		return nil, http.StatusLengthRequired, "A body is expected; its length must be given by Content-Length."
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, http.StatusRequestEntityTooLarge, "The body is too large."
	case err != nil:
		return nil, http.StatusBadRequest, "The body cannot be read: " + err.Error()
	}
	return body, 0, ""
}

// textOf is a value that must be text; missing and null are "".
func textOf(m map[string]any, key string) (string, bool) {
	switch v := m[key].(type) {
	case nil:
		return "", true
	case string:
		return v, true
	}
	return "", false
}
