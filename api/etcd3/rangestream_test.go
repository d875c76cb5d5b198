package etcd3_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"quorate/api/etcd3"
)

// streamed is what RangeStream gives: all chunks merged, and their number. between is called after the first.
func streamed(f *frontEnd, r *pb.RangeRequest, between func()) (*pb.RangeResponse, int, error) {
	stream, err := f.kv().RangeStream(f.ctx(), r)
	if err != nil {
		return nil, 0, err
	}
	all := &pb.RangeResponse{}
	for n := 0; ; n++ {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return all, n, nil
		}
		if err != nil {
			return nil, n, err
		}
		proto.Merge(all, part.RangeResponse)
		if n == 0 && between != nil {
			between()
		}
	}
}

// Chunks put together are Range's answer.
func TestRangeStream(t *testing.T) {
	f := start(t, func(o *etcd3.Options) { o.MaxRequestBytes = 4 << 10 })
	put := func(k string) {
		t.Helper()
		if _, err := f.kv().Put(f.ctx(), &pb.PutRequest{Key: key(k), Value: make([]byte, 100)}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 300 {
		put(fmt.Sprintf("k%03d", i))
	}
	for name, c := range map[string]struct {
		r      *pb.RangeRequest
		chunks int // at least
	}{
		"all":           {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l")}, 8},
		"serializable":  {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), Serializable: true}, 8},
		"limit":         {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), Limit: 57}, 3},
		"limit of one":  {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), Limit: 1}, 1},
		"old revision":  {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), Revision: 150}, 5},
		"keys only":     {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), KeysOnly: true}, 4},
		"count only":    {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), CountOnly: true}, 1},
		"one key":       {&pb.RangeRequest{Key: key("k007")}, 1},
		"nothing":       {&pb.RangeRequest{Key: key("x")}, 1},
		"by key upward": {&pb.RangeRequest{Key: key("k"), RangeEnd: key("l"), SortOrder: pb.RangeRequest_ASCEND}, 8},
	} {
		want, err := f.kv().Range(f.ctx(), c.r)
		if err != nil {
			t.Fatal(err)
		}
		got, chunks, err := streamed(f, c.r, nil)
		if err != nil || !proto.Equal(got, want) || chunks < c.chunks {
			t.Errorf("%s: %d keys of %d in %d chunks, more %v, %v, %v; want %d of %d in %d, %v, %v",
				name, len(got.GetKvs()), got.GetCount(), chunks, got.GetMore(), got.GetHeader(), err, len(want.Kvs), want.Count, c.chunks, want.More, want.Header)
		}
	}
	all := &pb.RangeRequest{Key: key("k"), RangeEnd: key("l")}
	want, err := f.kv().Range(f.ctx(), all)
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := streamed(f, all, func() { put("k000"); put("k2999") })
	if err != nil || !proto.Equal(got, want) {
		t.Errorf("writes while it runs: %d keys at %v, %v; want %d at %v", len(got.GetKvs()), got.GetHeader(), err, len(want.Kvs), want.Header)
	}
	for _, c := range []struct {
		r    *pb.RangeRequest
		want error
	}{
		{&pb.RangeRequest{}, rpctypes.ErrGRPCEmptyKey},
		{&pb.RangeRequest{Key: key("k"), Revision: 9999}, rpctypes.ErrGRPCFutureRev},
		{&pb.RangeRequest{Key: key("k"), SortOrder: pb.RangeRequest_DESCEND}, status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")},
		{&pb.RangeRequest{Key: key("k"), MinModRevision: 3}, status.Error(codes.Unimplemented, "RangeStream does not support revision filters")},
	} {
		_, _, err := streamed(f, c.r, nil)
		if status.Code(err) != status.Code(c.want) || status.Convert(err).Message() != status.Convert(c.want).Message() {
			t.Errorf("%v: %v, want %v", c.r, err, c.want)
		}
	}
}
