package etcd3_test

import (
	"testing"

	"quorate/internal/etcdtest"
	"quorate/internal/raftlab"
)

func TestAnswersOfEtcd(t *testing.T) {
	etcdtest.AnswersOfEtcd(t, func(t *testing.T) string { return raftlab.Start(t, 1)[0].Addr })
}
