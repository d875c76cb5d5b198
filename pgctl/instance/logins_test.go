package instance_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/pgctl/instance"
)

// slowProof is a client's connection that sends its startup message at once, and what comes behind it, its proof, when it may.
type slowProof struct {
	net.Conn
	asked chan<- struct{} // closed when the proof is asked for
	may   <-chan struct{}
	sent  atomic.Int32
}

func (c *slowProof) Write(p []byte) (int, error) {
	if c.sent.Add(1) == 2 {
		close(c.asked)
		<-c.may
	}
	return c.Conn.Write(p)
}

// A login whose proof is under way when a planned stop begins comes to its end; one that does not go on is cut off when its time is over.
func TestStopWaitsForLogins(t *testing.T) {
	ctx := bounded(t)
	for name, limit := range map[string]time.Duration{"it ends": time.Minute, "it does not go on": 50 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			a := newNode(t, "a").bootstrap()
			cfg, err := pgconn.ParseConfig("host=127.0.0.1 port=" + itoa(a.port) + " user=postgres dbname=postgres sslmode=disable")
			a.ok(err)
			asked, may := make(chan struct{}), make(chan struct{})
			cfg.Password = password
			cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
				c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return &slowProof{Conn: c, asked: asked, may: may}, err
			}
			in := make(chan error, 1)
			go func() {
				c, err := pgconn.ConnectConfig(ctx, cfg)
				if err == nil {
					defer c.Close(ctx)
				}
				in <- err
			}()
			<-asked
			stopped := make(chan error, 1)
			go func() { stopped <- a.Stop(ctx, instance.StopOptions{Logins: limit}) }()
			if limit < time.Minute {
				a.ok(<-stopped)
				close(may)
				if err := <-in; err == nil {
					t.Error("a login came to its end on a server that is stopped")
				}
				return
			}
			a.await("SELECT 1", "1") // the stop has not begun: the next one is let in too
			close(may)
			a.ok(<-in)
			a.ok(<-stopped)
		})
	}
}
