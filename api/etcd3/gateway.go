package etcd3

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	etcdgw "go.etcd.io/etcd/api/v3/etcdserverpb/gw"
	electiongw "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb/gw"
	lockgw "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb/gw"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// newGateway is the JSON side of the gRPC services: POST /v3/..., by etcd's own generated translation.
func newGateway(ctx context.Context, conn *grpc.ClientConn) (*runtime.ServeMux, error) {
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, newJSONForm()),
		runtime.WithErrorHandler(writeGatewayError),
	)
	register := []func(context.Context, *runtime.ServeMux, *grpc.ClientConn) error{
		etcdgw.RegisterKVHandler,
		etcdgw.RegisterWatchHandler,
		etcdgw.RegisterLeaseHandler,
		etcdgw.RegisterClusterHandler,
		etcdgw.RegisterMaintenanceHandler,
		etcdgw.RegisterAuthHandler,
		lockgw.RegisterLockHandler,
		electiongw.RegisterElectionHandler,
	}
	for _, r := range register {
		if err := r(ctx, mux, conn); err != nil {
			return nil, err
		}
	}
	return mux, nil
}

// jsonForm is etcd's JSON: field names as in the proto files, 64-bit integers as strings, bytes in base64, zero values left
// out (a keep-alive of a lease that is gone therefore has no TTL, and Patroni takes any TTL for a living lease), unknown
// fields ignored.
type jsonForm struct{ runtime.JSONPb }

func newJSONForm() *jsonForm {
	return &jsonForm{runtime.JSONPb{
		MarshalOptions:   protojson.MarshalOptions{UseProtoNames: true},
		UnmarshalOptions: protojson.UnmarshalOptions{DiscardUnknown: true},
	}}
}

// Marshal writes without blanks: protojson puts them in at random, so that nobody compares bytes, but scripts for etcd 3.4
// and 3.5 do. The error of a stream, which the gateway passes here as a map, gets both generations' fields.
func (f *jsonForm) Marshal(v any) ([]byte, error) {
	if chunk, ok := v.(map[string]proto.Message); ok {
		if s, ok := status.FromProto(statusProto(chunk["error"])), chunk["error"] != nil; ok {
			return json.Marshal(map[string]streamError{"error": newStreamError(s)})
		}
	}
	spaced, err := f.JSONPb.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := json.Compact(&out, spaced); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// writeGatewayError is the answer to a call that failed before it had an answer.
func writeGatewayError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	s := status.Convert(err)
	body, merr := json.Marshal(newCallError(s))
	if merr != nil {
		http.Error(w, merr.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(runtime.HTTPStatusFromCode(s.Code()))
	_, _ = w.Write(body)
}

// legacyPaths sends the paths of older clients where they live now: Patroni uses /v3beta with what it takes for etcd 3.3.
func legacyPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest, ok := strings.CutPrefix(r.URL.Path, "/v3beta/"); ok {
			r = r.Clone(r.Context())
			r.URL.Path, r.URL.RawPath = "/v3/"+rest, ""
		}
		next.ServeHTTP(w, r)
	})
}
