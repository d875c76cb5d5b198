package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"quorate/internal/boottime"
	"quorate/test/check"
)

// Mode is how a writer holds its sessions.
type Mode string

const (
	// Kept holds one session for as long as it works.
	Kept Mode = "kept"
	// Fresh opens a session for each commit.
	Fresh Mode = "fresh"
)

// Options describe one writer.
type Options struct {
	Name   string // unique in the history; part of every id
	Target string // connection string or URL, as libpq takes it
	// Dial opens the connections; the own network's if nil. For writers that live in one process and connect from inside several hosts.
	Dial pgconn.DialFunc
	// Node is the address that acknowledgements are ascribed to when the server does not say its own (a UNIX socket); may be empty behind a router.
	Node    string
	Mode    Mode          // Kept if empty
	Every   time.Duration // from the start of one attempt to the start of the next, if the first has ended by then; 10 ms if zero
	Hold    time.Duration // how long each statement sleeps before it is done, for statements in flight
	Connect time.Duration // bound on opening a session; 5 s if zero
	Timeout time.Duration // bound on a statement, in addition to Hold; 5 s if zero
	Record  func(check.Op)
}

// Writer commits until its context ends.
type Writer struct {
	o    Options
	conf *pgconn.Config
	run  int64 // makes ids differ from those of another run against the same table
	seq  int

	conn    *pgconn.PgConn
	session int
	warning string // what the server said along with its latest answer
}

// New checks the options; it connects nowhere.
func New(o Options) (*Writer, error) {
	if o.Name == "" || o.Record == nil {
		return nil, errors.New("writer: a name and a place for the record are needed")
	}
	if o.Mode == "" {
		o.Mode = Kept
	}
	if o.Mode != Kept && o.Mode != Fresh {
		return nil, fmt.Errorf("writer: mode %q is neither %s nor %s", o.Mode, Kept, Fresh)
	}
	setDefault(&o.Every, 10*time.Millisecond)
	setDefault(&o.Connect, 5*time.Second)
	setDefault(&o.Timeout, 5*time.Second)
	conf, err := pgconn.ParseConfig(o.Target)
	if err != nil {
		return nil, fmt.Errorf("writer: target: %w", err)
	}
	w := &Writer{o: o, conf: conf, run: int64(boottime.Now())}
	if o.Dial != nil {
		conf.DialFunc = o.Dial
	}
	conf.RuntimeParams["application_name"] = o.Name
	conf.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { w.warning = n.Message }
	return w, nil
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Run writes until ctx ends; the attempt under way is then given up as unknown.
func (w *Writer) Run(ctx context.Context) {
	defer w.drop()
	tick := time.NewTicker(w.o.Every)
	defer tick.Stop()
	for ctx.Err() == nil {
		w.attempt(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// attempt makes one attempt and records it twice.
func (w *Writer) attempt(ctx context.Context) {
	w.seq++
	w.warning = ""
	op := check.Op{
		ID: fmt.Sprintf("%s-%x-%d", w.o.Name, w.run, w.seq), Writer: w.o.Name,
		Start: boottime.Now(), Outcome: check.Unknown, Session: w.session,
	}
	w.o.Record(op)
	server, err := w.commit(ctx, op.ID)
	op.End, op.Session = boottime.Now(), w.session
	op.Outcome, op.Error = classify(err)
	if err != nil {
		op.Detail = err.Error()
		w.drop()
	} else {
		op.Server, op.Detail = server, w.warning
	}
	if w.o.Mode == Fresh {
		w.drop()
	}
	w.o.Record(op)
}

func (w *Writer) commit(ctx context.Context, id string) (check.Server, error) {
	if w.conn == nil {
		if err := w.connect(ctx); err != nil {
			return check.Server{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.o.Timeout+w.o.Hold)
	defer cancel()
	return insert(ctx, w.conn, id, w.o)
}

func (w *Writer) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, w.o.Connect)
	defer cancel()
	conn, err := pgconn.ConnectConfig(ctx, w.conf)
	if err != nil {
		return &connectError{err}
	}
	w.conn = conn
	w.session++
	return nil
}

// drop ends the session without waiting for a server that may be gone.
func (w *Writer) drop() {
	if w.conn == nil {
		return
	}
	_ = w.conn.Conn().Close()
	w.conn = nil
}
