package node

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"quorate/internal/boottime"
	"quorate/pgctl/ha"
)

// The monitor asks on a connection that it keeps, so that it does not notice when the postmaster takes no new ones. The probe
// does: it opens a connection as any client and waits for the first byte of an answer, which only a child of the postmaster gives.
const (
	probeEvery   = 2 * time.Second
	probeTimeout = 4 * time.Second
)

// probe tells the loop when PostgreSQL last took a connection.
func (a *agent) probe() {
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	for {
		select {
		case <-a.ctx.Done():
			return
		case <-t.C:
		}
		if st, ok := a.guard.Status(); !ok || st.PM == 0 {
			continue
		}
		asked := boottime.Now()
		if err := a.greet(a.ctx); err != nil {
			a.log.Debug("PostgreSQL takes no connection", "error", err)
			continue
		}
		a.loop.post(pgEvent{func(p *ha.PG) { p.AcceptsAt = asked }})
	}
}

// sslRequest asks whether the server would encrypt (protocol, "SSLRequest"): the shortest question there is, and no entry in the log.
var sslRequest = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 8), 80877103)

func (a *agent) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := a.dialPostgres(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if _, err := conn.Write(sslRequest); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func (a *agent) dialPostgres(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	port := strconv.Itoa(a.cfg.PostgreSQL.Port)
	conn, err := d.DialContext(ctx, "unix", filepath.Join(a.inst.SocketDir(), ".s.PGSQL."+port))
	if err == nil {
		return conn, nil
	}
	host, _, _ := net.SplitHostPort(a.cfg.PostgreSQL.ConnectAddress)
	conn, tcp := d.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if tcp != nil {
		return nil, errors.Join(err, tcp)
	}
	return conn, nil
}
