package etcd3

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

// rpcStats feeds the byte and call counters from gRPC's own observation points, which see streams message by message. Names that no service
// has are not counted, since each would be a series for ever.
type rpcStats struct {
	metrics *metrics
	methods map[string]*rpcSeries // by full name; filled once, before the first call
}

type rpcTagKey struct{}

// rpcSeries are the series of one method, which are looked up by their labels only once.
type rpcSeries struct {
	metrics *metrics
	labels  []string // type, service, method: in the order and with the words that the grpc_server_ series have by convention

	started, received, sent prometheus.Counter
	seconds                 prometheus.Observer // nil: not measured
	handled                 [codes.Unauthenticated + 1]atomic.Pointer[prometheus.Counter]
}

// know makes the series of all methods of a server.
func (s *rpcStats) know(services map[string]grpc.ServiceInfo) {
	for service, info := range services {
		for _, m := range info.Methods {
			r := &rpcSeries{metrics: s.metrics, labels: []string{rpcKind(m), service, m.Name}}
			r.started = s.metrics.rpcStarted.WithLabelValues(r.labels...)
			r.received = s.metrics.msgReceived.WithLabelValues(r.labels...)
			r.sent = s.metrics.msgSent.WithLabelValues(r.labels...)
			if h := s.metrics.rpcSeconds; h != nil {
				r.seconds = h.WithLabelValues(r.labels...)
			}
			s.methods["/"+service+"/"+m.Name] = r
		}
	}
}

// of is the counter of calls that ended with a code.
func (r *rpcSeries) of(code codes.Code) prometheus.Counter {
	known := int(code) < len(r.handled)
	if known {
		if c := r.handled[code].Load(); c != nil {
			return *c
		}
	}
	c := r.metrics.rpcHandled.WithLabelValues(append(r.labels[:3:3], code.String())...)
	if known {
		r.handled[code].Store(&c)
	}
	return c
}

func (s *rpcStats) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	if r := s.methods[info.FullMethodName]; r != nil {
		return context.WithValue(ctx, rpcTagKey{}, r)
	}
	return ctx
}

func (s *rpcStats) HandleRPC(ctx context.Context, event stats.RPCStats) {
	r, known := ctx.Value(rpcTagKey{}).(*rpcSeries)
	switch e := event.(type) {
	case *stats.Begin:
		if known {
			r.started.Inc()
		}
	case *stats.InPayload:
		s.metrics.receivedBytes.Add(float64(e.Length))
		if known {
			r.received.Inc()
		}
	case *stats.OutPayload:
		s.metrics.sentBytes.Add(float64(e.Length))
		if known {
			r.sent.Inc()
		}
	case *stats.End:
		if !known {
			return
		}
		r.of(status.Code(e.Error)).Inc()
		if r.seconds != nil {
			r.seconds.Observe(e.EndTime.Sub(e.BeginTime).Seconds())
		}
	}
}

func rpcKind(m grpc.MethodInfo) string {
	switch {
	case m.IsClientStream && m.IsServerStream:
		return "bidi_stream"
	case m.IsClientStream:
		return "client_stream"
	case m.IsServerStream:
		return "server_stream"
	}
	return "unary"
}

func (*rpcStats) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (*rpcStats) HandleConn(context.Context, stats.ConnStats)                       {}
