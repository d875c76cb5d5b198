package rest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// PeerHeader carries the signature of another node of the cluster.
const PeerHeader = "X-Quorate-Peer"

// SignPeer signs a request of one node to another with a key that all nodes derive from gossip.secret. It spares the nodes passwords,
// certificates and allow-lists for each other. There is no time in it, because clocks may differ: a request that somebody recorded and
// sends again promises nothing that was not promised before.
func SignPeer(key []byte, method, path string, body []byte) string {
	h := hmac.New(sha256.New, key)
	for _, part := range [][]byte{[]byte(method), []byte(path), body} {
		h.Write(part)
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// write wraps a handler that changes something: who may not is refused, and who may leaves an audit line.
func (s *Server) write(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if d := s.check(r, operators); d != nil {
			s.deny(w, r, d)
		} else {
			h(w, r)
		}
		s.audit(r, slog.LevelInfo, codeOf(w), time.Since(began))
	}
}

// peer wraps a handler for the other nodes' requests. They come every second in failsafe mode: their audit line is for debugging.
func (s *Server) peer(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		if !s.signed(w, r) {
			if d := s.check(r, peers); d != nil {
				s.deny(w, r, d)
				s.audit(r, slog.LevelInfo, d.code, time.Since(began))
				return
			}
		}
		h(w, r)
		s.audit(r, slog.LevelDebug, codeOf(w), time.Since(began))
	}
}

// signed says whether the request carries a peer's signature. The body is read and put back.
func (s *Server) signed(w http.ResponseWriter, r *http.Request) bool {
	signature := r.Header.Get(PeerHeader)
	if len(s.opt.PeerKey) == 0 || signature == "" {
		return false
	}
	body, code, _ := readBody(w, r, maxActionBody)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return code == 0 && hmac.Equal([]byte(signature), []byte(SignPeer(s.opt.PeerKey, r.Method, r.URL.Path, body)))
}

func (s *Server) deny(w http.ResponseWriter, _ *http.Request, d *denial) {
	w.Header().Set("Connection", "close") // the body was not read
	if d.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="Patroni"`)
	}
	s.text(w, d.code, d.text)
}

// audit writes the line that says who changed what. It never holds a body: there may be passwords in it.
func (s *Server) audit(r *http.Request, level slog.Level, code int, took time.Duration) {
	s.opt.Logger.Log(context.WithoutCancel(r.Context()), level, "API write",
		"method", r.Method, "path", r.URL.Path, "user", s.who(r), "address", r.RemoteAddr, "code", code, "took", took.Round(10*time.Microsecond))
}

// who names the requester as far as it named itself: by certificate or user name. Whether that was believed, the code tells.
func (s *Server) who(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 {
		return r.TLS.PeerCertificates[0].Subject.CommonName
	}
	if user, _, ok := r.BasicAuth(); ok && s.policy.Load().basic != "" {
		return user
	}
	if r.Header.Get(PeerHeader) != "" {
		return "peer"
	}
	return "anonymous"
}

func codeOf(w http.ResponseWriter) int {
	if rec, ok := w.(*recorder); ok {
		return rec.code
	}
	return 0
}

// long lifts the bound on the answer for a handler that waits, and gives a context that ends with the server and not with
// the client. The request's body must have been read.
func (s *Server) long(w http.ResponseWriter, r *http.Request) (context.Context, context.CancelFunc) {
	// net/http itself lifts the read deadline once the request has been read. A recorder in a test has no deadlines.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	stop := context.AfterFunc(s.life, cancel)
	return ctx, func() { stop(); cancel() }
}
