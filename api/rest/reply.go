package rest

import (
	"fmt"
	"html"
	"log"
	"log/slog"
	"net/http"
	"strconv"
)

// recorder remembers the code of an answer.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.code == 0 {
		r.code = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// bare answers with the status line alone, as Patroni does to load balancers: no header that HTTP/1.1 can do without.
func bare(w http.ResponseWriter, code int) {
	h := w.Header()
	h["Date"] = nil
	h["Content-Length"] = []string{"0"}
	w.WriteHeader(code)
}

// reply answers with a body and the configured headers.
func (s *Server) reply(w http.ResponseWriter, code int, contentType string, body []byte) {
	p := s.policy.Load()
	h := w.Header()
	h.Set("Server", p.server)
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	for name, value := range p.headers {
		h.Set(name, value)
	}
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		s.opt.Logger.Debug("answer not sent", "error", err)
	}
}

// text answers in Patroni's form for actions.
func (s *Server) text(w http.ResponseWriter, code int, text string) {
	s.reply(w, code, "text/html", []byte(text))
}

func (s *Server) json(w http.ResponseWriter, code int, v any) {
	body, err := pythonJSON(v)
	if err != nil {
		s.opt.Logger.Error("answer cannot be rendered", "error", err)
		s.page(w, http.StatusInternalServerError, "The answer cannot be rendered.")
		return
	}
	s.reply(w, code, "application/json", body)
}

// page answers with an HTML page of an error, where Patroni does.
func (s *Server) page(w http.ResponseWriter, code int, why string) {
	title := fmt.Sprintf("%d %s", code, http.StatusText(code))
	s.reply(w, code, "text/html;charset=utf-8", fmt.Appendf(nil,
		"<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>%s</title></head>\n<body><h1>%s</h1><p>%s</p></body></html>\n",
		title, title, html.EscapeString(why)))
}

func (s *Server) unsupported(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close") // a body of a size that nobody checked may follow
	s.page(w, http.StatusNotImplemented, fmt.Sprintf("Unsupported method (%q) for this path.", r.Method))
}

// quietLog takes what net/http has to say of single connections: scanners and broken clients, nobody's business at night.
func quietLog(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
