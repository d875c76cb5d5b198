package dcsclient

import (
	"context"
	"strings"
	"sync"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// tokens authenticates calls where a user is configured. A token is good on every host of a cluster, until it expires or
// the users are changed; then the call that notices fetches another and is made again, which is safe: it was refused.
type tokens struct {
	user, password string

	mu      sync.Mutex // guards the fields below; held while a token is fetched, so that one is
	token   string
	fetched bool // token may be empty: a store may have its authentication switched off
}

func (t *tokens) init(o Options) { t.user, t.password = o.Username, o.Password }

// with runs a call on a host, with a token if there is a user.
func (t *tokens) with(ctx context.Context, e *endpoint, call func(context.Context) error) error {
	if t.user == "" {
		return call(ctx)
	}
	token, err := t.get(ctx, e)
	if err != nil {
		return err
	}
	err = call(withToken(ctx, token))
	if !isTokenFault(err) {
		return err
	}
	t.forget(token)
	if token, err = t.get(ctx, e); err != nil {
		return err
	}
	return call(withToken(ctx, token))
}

func (t *tokens) get(ctx context.Context, e *endpoint) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fetched {
		return t.token, nil
	}
	resp, err := e.auth.Authenticate(ctx, &pb.AuthenticateRequest{Name: t.user, Password: t.password})
	if statusOf(err).Message() == text(rpctypes.ErrGRPCAuthNotEnabled) {
		resp, err = &pb.AuthenticateResponse{}, nil
	}
	if err != nil {
		return "", err
	}
	t.token, t.fetched = resp.Token, true
	return t.token, nil
}

// forget drops a token, unless another call has done so and fetched a new one.
func (t *tokens) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token, t.fetched = "", false
	}
}

func withToken(ctx context.Context, token string) context.Context {
	if token == "" {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, rpctypes.TokenFieldNameGRPC, token)
}

// withTokenOf gives ctx the token of another context.
func withTokenOf(from, ctx context.Context) context.Context {
	md, _ := metadata.FromOutgoingContext(from)
	for _, token := range md.Get(rpctypes.TokenFieldNameGRPC) {
		ctx = withToken(ctx, token)
	}
	return ctx
}

// isTokenFault says whether a call was refused for the token that it had, or had not.
func isTokenFault(err error) bool {
	s := statusOf(err)
	return s.Code() == codes.Unauthenticated || s.Message() == text(rpctypes.ErrGRPCAuthOldRevision) ||
		s.Message() == text(rpctypes.ErrGRPCUserEmpty)
}

// reasonError is the status in the text by which a store refuses a watch: unlike a call, a watch has no status of its own.
func reasonError(reason string) error {
	for _, known := range []error{
		rpctypes.ErrGRPCPermissionDenied, rpctypes.ErrGRPCInvalidAuthToken, rpctypes.ErrGRPCAuthOldRevision,
		rpctypes.ErrGRPCUserEmpty, rpctypes.ErrGRPCCompacted, rpctypes.ErrGRPCNoLeader,
	} {
		if strings.HasSuffix(reason, text(known)) {
			return known
		}
	}
	return status.Error(codes.Unavailable, reason)
}
