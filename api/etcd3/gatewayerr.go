package etcd3

import (
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// callError is the body of a failed call, in 3.5's order: some clients compare the text. error is where clients of etcd up to 3.5 look, message
// where those of 3.6 do.
type callError struct {
	Error   string     `json:"error"`
	Code    codes.Code `json:"code"`
	Message string     `json:"message"`
}

func newCallError(s *status.Status) callError {
	return callError{Error: s.Message(), Code: s.Code(), Message: s.Message()}
}

// streamError is the last chunk of a stream that failed; again the fields of both generations.
type streamError struct {
	GRPCCode   codes.Code `json:"grpc_code"`
	HTTPCode   int        `json:"http_code"`
	HTTPStatus string     `json:"http_status"`
	Code       codes.Code `json:"code"`
	Message    string     `json:"message"`
	Details    []any      `json:"details"`
}

func newStreamError(s *status.Status) streamError {
	http_ := runtime.HTTPStatusFromCode(s.Code())
	return streamError{
		GRPCCode: s.Code(), HTTPCode: http_, HTTPStatus: http.StatusText(http_),
		Code: s.Code(), Message: s.Message(), Details: []any{},
	}
}

// statusProto is m when it is a status, as it is in the error chunk of a stream, else nil.
func statusProto(m proto.Message) *spb.Status {
	s, _ := m.(*spb.Status)
	return s
}
