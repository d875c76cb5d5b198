package etcd3

import (
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// fill completes the header of an answer: who answers and in which term always come from this node as it is now, the
// revision only when the store did not say at which one it answered.
func fill(s Store, h **pb.ResponseHeader) {
	now := s.Header()
	if *h == nil {
		*h = now
		return
	}
	(*h).ClusterId, (*h).MemberId, (*h).RaftTerm = now.ClusterId, now.MemberId, now.RaftTerm
	if (*h).Revision == 0 {
		(*h).Revision = now.Revision
	}
}

// complete is fill for answers of this node's own store, which has mostly filled the header already: the revision of now is not had without waiting for
// the writers.
func complete(s Store, h **pb.ResponseHeader) {
	if *h == nil || (*h).MemberId == 0 || (*h).Revision == 0 {
		fill(s, h)
	}
}
