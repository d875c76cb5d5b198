package dcsclient

import (
	"context"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// Discover asks the store for the client URLs of its members, as Patroni does with a real etcd of which the configuration
// names one host: given to SetEndpoints, they keep the client going when that host dies. Members that have not told where
// their clients find them are left out. Behind a load balancer (`use_proxies`) the URLs lead past it: do not ask.
func (c *Etcd) Discover(ctx context.Context) ([]string, error) {
	var urls []string
	err := c.repeatable(ctx, func(ctx context.Context, e *endpoint) error {
		resp, err := e.cluster.MemberList(ctx, &pb.MemberListRequest{})
		if err != nil {
			return err
		}
		urls = nil
		for _, m := range resp.Members {
			urls = append(urls, m.ClientURLs...)
		}
		return nil
	})
	return urls, err
}
