package etcd3

import (
	"context"
	"strings"

	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// rpcStats feeds the byte and call counters from gRPC's own observation points, which see streams message by message.
type rpcStats struct{ metrics *metrics }

type rpcTagKey struct{}

// rpcTag names one call in the labels that the grpc_server_ series have by convention. kind is known from Begin on.
type rpcTag struct{ kind, service, method string }

func (s rpcStats) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	service, method, _ := strings.Cut(strings.TrimPrefix(info.FullMethodName, "/"), "/")
	return context.WithValue(ctx, rpcTagKey{}, &rpcTag{kind: "unary", service: service, method: method})
}

func (s rpcStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	tag, ok := ctx.Value(rpcTagKey{}).(*rpcTag)
	if !ok {
		return
	}
	switch e := event.(type) {
	case *stats.Begin:
		tag.kind = rpcKind(e)
		s.metrics.rpcStarted.WithLabelValues(tag.kind, tag.service, tag.method).Inc()
	case *stats.InPayload:
		s.metrics.receivedBytes.Add(float64(e.Length))
		s.metrics.msgReceived.WithLabelValues(tag.kind, tag.service, tag.method).Inc()
	case *stats.OutPayload:
		s.metrics.sentBytes.Add(float64(e.Length))
		s.metrics.msgSent.WithLabelValues(tag.kind, tag.service, tag.method).Inc()
	case *stats.End:
		code := status.Code(e.Error).String()
		s.metrics.rpcHandled.WithLabelValues(tag.kind, tag.service, tag.method, code).Inc()
		if h := s.metrics.rpcSeconds; h != nil {
			h.WithLabelValues(tag.kind, tag.service, tag.method).Observe(e.EndTime.Sub(e.BeginTime).Seconds())
		}
	}
}

func rpcKind(e *stats.Begin) string {
	switch {
	case e.IsClientStream && e.IsServerStream:
		return "bidi_stream"
	case e.IsClientStream:
		return "client_stream"
	case e.IsServerStream:
		return "server_stream"
	}
	return "unary"
}

func (rpcStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (rpcStats) HandleConn(context.Context, stats.ConnStats)                       {}
