package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	maxStreams  = 64
	beat        = 15 * time.Second // a comment this often keeps proxies from closing an idle stream
	sendTimeout = 10 * time.Second
)

// stream is one client of GET /v1/events (server-sent events, HTML standard section 9.2).
type stream struct {
	w    http.ResponseWriter
	ctrl *http.ResponseController
}

// v1Events tells the present state first and then what changes, so that a client never has to ask and then listen. A cluster event always
// holds the newest view: changes that came while one was being sent are told once. A client that does not read is let go.
func (s *Server) v1Events(w http.ResponseWriter, r *http.Request) {
	if s.streams.Add(1) > maxStreams {
		s.streams.Add(-1)
		s.problem(w, http.StatusServiceUnavailable, "too many streams of events are open on this node")
		return
	}
	defer s.streams.Add(-1)
	ctx, cancel := s.long(w, r)
	defer cancel()
	events := s.opt.Backend.Events(ctx)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("Connection", "close") // a body that came with the request is not waited for
	w.WriteHeader(http.StatusOK)
	st := stream{w, http.NewResponseController(w)}
	ticker := time.NewTicker(beat)
	defer ticker.Stop()

	changed := s.opt.Backend.ClusterChanged()
	err := s.sendState(st)
	for err == nil {
		select {
		case <-changed:
			changed = s.opt.Backend.ClusterChanged()
			err = s.sendState(st)
		case e, open := <-events:
			if !open {
				return
			}
			err = st.send(e.Kind, e.Data)
		case <-ticker.C:
			err = st.write(": still here\n\n")
		case <-r.Context().Done():
			return
		case <-s.life.Done():
			return
		}
	}
}

// sendState sends the node's status and its view of the cluster.
func (s *Server) sendState(st stream) error {
	if err := st.sendValue("status", s.nodeView(s.opt.Backend.Status())); err != nil {
		return err
	}
	c := s.opt.Backend.Cluster()
	if c == nil {
		return nil
	}
	return st.sendValue("cluster", newClusterView(s.opt.Backend.Status().Scope, c))
}

func (st stream) sendValue(kind string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("event %s: %w", kind, err)
	}
	return st.send(kind, data)
}

// send writes one event. A line break in the data would end it: each line gets a field of its own.
func (st stream) send(kind string, data []byte) error {
	lines := bytes.ReplaceAll(bytes.TrimSpace(data), []byte("\n"), []byte("\ndata: "))
	return st.write(fmt.Sprintf("event: %s\ndata: %s\n\n", kind, lines))
}

func (st stream) write(text string) error {
	// A recorder in a test has no deadlines.
	_ = st.ctrl.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := st.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	if err := st.ctrl.Flush(); err != nil {
		return fmt.Errorf("send event: %w", err)
	}
	return nil
}
