package etcd3

import (
	"bytes"
	"math"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/etcdserver/txn"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// firstChunk is how many keys the first chunk of a RangeStream has at most, as etcd's.
const firstChunk = 10

// RangeStream is Range in chunks, of one revision, so that neither side holds a large answer whole (etcd 3.7).
func (s *kvServer) RangeStream(r *pb.RangeRequest, stream pb.KV_RangeStreamServer) error {
	if err := validateRange(r); err != nil {
		return err
	}
	switch {
	case !txn.IsDefaultOrdering(r.SortTarget, r.SortOrder):
		return status.Error(codes.Unimplemented, "RangeStream does not support custom sort orders")
	case txn.HasRevisionFilters(r):
		return status.Error(codes.Unimplemented, "RangeStream does not support revision filters")
	case r.CountOnly:
		resp, err := s.Range(stream.Context(), r)
		if err != nil {
			return err
		}
		return stream.Send(&pb.RangeStreamResponse{RangeResponse: resp})
	}
	return s.chunks(r, stream)
}

// chunks sends the keys of a request; the last chunk carries the header of the first read, and what is said of the whole.
func (s *kvServer) chunks(r *pb.RangeRequest, stream pb.KV_RangeStreamServer) error {
	page := proto.CloneOf(r)
	left := r.Limit // how many keys may still be sent
	if left <= 0 {
		left = math.MaxInt64
	}
	page.Limit = min(firstChunk, left)
	var header *pb.ResponseHeader
	var sent int64
	for {
		resp, err := s.Range(stream.Context(), page)
		if err != nil {
			return err
		}
		if header == nil {
			header = resp.Header
			if page.Revision == 0 {
				page.Revision = header.Revision
			}
			page.Serializable = true // this member has that revision now
		}
		n := int64(len(resp.Kvs))
		left -= n
		out := &pb.RangeResponse{Kvs: resp.Kvs}
		last := !resp.More || left <= 0
		if last {
			out.Header, out.More, out.Count = header, resp.More, sent+resp.Count
		}
		if err := stream.Send(&pb.RangeStreamResponse{RangeResponse: out}); err != nil || last {
			return err
		}
		sent += n
		page.Key = append(bytes.Clone(resp.Kvs[n-1].Key), 0)
		page.Limit = min(nextChunk(page.Limit, proto.Size(out), s.maxRequestBytes), left)
	}
}

// nextChunk is how many keys the next chunk may have, for chunks of about target bytes; the last one had size. At least 1: no limit is 0.
func nextChunk(limit int64, size, target int) int64 {
	switch {
	case size < target/2:
		limit *= 2
	case size > target*2:
		limit /= 2
	}
	return max(limit, 1)
}
