package instance

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"quorate/pgctl/postgres"
)

// relayPort is part of the name of a relay's socket, as libpq makes it; nothing listens there by TCP.
const relayPort = 5432

// surplus says of a file of the source's pg_wal, of a size in bytes, that pg_rewind need not fetch it. at is the end of the source's log.
type surplus func(name string, size int64, at postgres.LSN) bool

// rewindRelay stands between pg_rewind and its source, and leaves files out of the list from which pg_rewind makes its plan. All but files of relations
// it fetches whole, whatever the target has, and the source's pg_wal among them: segments that both have, one for each timeline of a
// number, and empty ones that are laid by for later; often more than all the rest (filemap.c, decide_file_action).
type rewindRelay struct {
	i    *Instance
	to   target
	drop surplus
	dir  string
	l    net.Listener
	wg   sync.WaitGroup

	mu   sync.Mutex // guards left
	left []string   // out of the list
}

// newRewindRelay listens in a folder of its own that PostgreSQL's user alone may enter: whoever connects is logged in already.
func (i *Instance) newRewindRelay(ctx context.Context, to target, drop surplus) (*rewindRelay, error) {
	dir, err := os.MkdirTemp("", "quorate-rewind-")
	if err != nil {
		return nil, err
	}
	r := &rewindRelay{i: i, to: to, drop: drop, dir: dir}
	name := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(relayPort))
	if r.l, err = net.Listen("unix", name); err == nil {
		err = errors.Join(i.own(name), i.own(dir))
	}
	if err != nil {
		r.close()
		return nil, err
	}
	r.wg.Go(func() { r.accept(ctx) })
	return r, nil
}

// conninfo is how pg_rewind connects.
func (r *rewindRelay) conninfo() postgres.Conninfo {
	return postgres.Conninfo{}.With("host", r.dir).With("port", strconv.Itoa(relayPort)).With("user", r.to.account.User).With("dbname", r.to.database)
}

func (r *rewindRelay) close() {
	if r.l != nil {
		r.l.Close()
	}
	r.wg.Wait()
	os.RemoveAll(r.dir)
}

func (r *rewindRelay) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = nil
}

// leftOut are the files of pg_wal that were left out of the list.
func (r *rewindRelay) leftOut() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left
}

func (r *rewindRelay) accept(ctx context.Context) {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return // closed
		}
		r.wg.Go(func() {
			defer c.Close()
			if err := r.serve(ctx, c); err != nil && ctx.Err() == nil {
				r.i.log.Debug("the connection between pg_rewind and its source has ended", "err", err)
			}
		})
	}
}

// serve logs in at the source in the place of pg_rewind, and then passes on what they say.
func (r *rewindRelay) serve(ctx context.Context, c net.Conn) error {
	client := pgproto3.NewBackend(c, c)
	if _, err := client.ReceiveStartupMessage(); err != nil {
		return err
	}
	source, at, err := r.login(ctx)
	if err != nil {
		client.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "08006", Message: err.Error()})
		return errors.Join(err, client.Flush())
	}
	defer source.Conn.Close()
	client.Send(&pgproto3.AuthenticationOk{})
	for name, value := range source.ParameterStatuses {
		client.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	client.Send(&pgproto3.BackendKeyData{ProcessID: source.PID, SecretKey: source.SecretKey})
	client.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	if err := client.Flush(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.Close(); source.Conn.Close() })
	defer stop()
	asked := make(chan error, 1)
	go func() {
		_, err := io.Copy(source.Conn, c)
		source.Conn.Close() // pg_rewind has gone, and the answers end
		asked <- err
	}()
	err = filterFileList(c, source.Conn, func(name string, size int64) bool { return r.leave(name, size, at) })
	c.Close()
	return errors.Join(err, <-asked)
}

// leave notes what is left out.
func (r *rewindRelay) leave(file string, size int64, at postgres.LSN) bool {
	dir, name := path.Split(file)
	if dir != "pg_wal/" || !r.drop(name, size, at) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = append(r.left, name)
	return true
}

// logEndQuery tells how far a server's log goes, a primary's or a standby's.
const logEndQuery = `SELECT CASE WHEN pg_catalog.pg_is_in_recovery()
	THEN greatest(pg_catalog.pg_last_wal_receive_lsn(), pg_catalog.pg_last_wal_replay_lsn())
	ELSE pg_catalog.pg_current_wal_insert_lsn() END`

func (r *rewindRelay) login(ctx context.Context) (*pgconn.HijackedConn, postgres.LSN, error) {
	s, err := r.i.dial(ctx, r.to)
	if err != nil {
		return nil, 0, fmt.Errorf("connection for the rewind to %s:%d: %w", r.to.host, r.to.port, err)
	}
	row, err := s.one(ctx, logEndQuery)
	if err != nil {
		s.close()
		return nil, 0, err
	}
	at, err := postgres.ParseLSN(row[0])
	if err != nil {
		s.close()
		return nil, 0, err
	}
	c, err := s.conn.Hijack()
	return c, at, err
}

// fileList are the names of the last columns of pg_rewind's list of files (libpq_source.c, libpq_traverse_files); the first, the path, has none.
var fileList = []string{"size", "isdir", "link_target"}

// filterFileList copies a server's messages, but for the rows of a list of files that drop tells.
func filterFileList(dst io.Writer, src io.Reader, drop func(name string, size int64) bool) error {
	r, w := bufio.NewReaderSize(src, 1<<16), bufio.NewWriterSize(dst, 1<<16)
	list := false
	for {
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
		head, err := r.Peek(5)
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return w.Flush()
			}
			return err
		}
		kind, length := head[0], 1+int64(binary.BigEndian.Uint32(head[1:]))
		if length < 5 {
			return fmt.Errorf("message %q of %d bytes", kind, length)
		}
		if kind != 'T' && (kind != 'D' || !list) || length > 1<<16 {
			if _, err := io.CopyN(w, r, length); err != nil {
				return err
			}
			continue
		}
		msg := make([]byte, length)
		if _, err := io.ReadFull(r, msg); err != nil {
			return err
		}
		if kind == 'T' {
			list = isFileList(msg[5:])
		} else if name, size, ok := fileRow(msg[5:]); ok && drop(name, size) {
			continue
		}
		if _, err := w.Write(msg); err != nil {
			return err
		}
	}
}

func isFileList(body []byte) bool {
	var d pgproto3.RowDescription
	if d.Decode(body) != nil || len(d.Fields) != 1+len(fileList) {
		return false
	}
	for k, name := range fileList {
		if string(d.Fields[k+1].Name) != name {
			return false
		}
	}
	return true
}

func fileRow(body []byte) (name string, size int64, ok bool) {
	var d pgproto3.DataRow
	if d.Decode(body) != nil || len(d.Values) != 1+len(fileList) {
		return "", 0, false
	}
	size, err := strconv.ParseInt(string(d.Values[1]), 10, 64)
	return string(d.Values[0]), size, err == nil
}
