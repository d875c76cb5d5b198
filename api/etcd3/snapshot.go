package etcd3

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// snapshotChunk is how much of the file one message carries.
const snapshotChunk = 32 * 1024

// Snapshot streams the backend file and, last, its sha256. Clients check that the total is 32 bytes over a multiple of
// 512, and `etcdutl snapshot restore` recomputes the sum, so a file cut short can never pass for a whole one.
func (s *maintenanceServer) Snapshot(_ *pb.SnapshotRequest, stream pb.Maintenance_SnapshotServer) error {
	ctx := stream.Context()
	if err := s.permit.admin(ctx); err != nil {
		return err
	}
	size, file, err := s.store.Snapshot(ctx)
	if err != nil {
		return toStatus(err)
	}
	defer file.Close()
	s.log.Info("sending a snapshot", "bytes", size)

	sum := sha256.New()
	for left := size; left > 0; {
		// A buffer for each message: Send returns before gRPC has let go of it.
		chunk := make([]byte, min(left, snapshotChunk))
		if _, err := io.ReadFull(file, chunk); err != nil {
			return toStatus(snapshotShort(size, left, err))
		}
		sum.Write(chunk)
		left -= int64(len(chunk))
		if err := stream.Send(&pb.SnapshotResponse{RemainingBytes: uint64(left), Blob: chunk}); err != nil {
			return err
		}
	}
	return stream.Send(&pb.SnapshotResponse{Blob: sum.Sum(nil)})
}

func snapshotShort(size, left int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the snapshot ended %d bytes short of the %d announced", left, size)
	}
	return fmt.Errorf("reading the snapshot, %d of %d bytes left: %w", left, size, err)
}
