package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"quorate/internal/config"
	"quorate/pgctl/instance"
)

// preflight refuses what cannot work, before anything is started and while nothing on disk has been touched.
func (n *Node) preflight(ctx context.Context) error {
	running, err := n.checkFolder(ctx)
	if err != nil {
		return err
	}
	return errors.Join(n.checkPorts(running), n.checkDescriptors())
}

// hopeless are the faults of a data folder that nothing but a person's hand can mend. Every other one is the agent's business: what was
// broken off is made anew, what is incomplete waits for a reinit.
var hopeless = []error{
	instance.ErrForeign, instance.ErrWrongVersion, instance.ErrWrongOwner, instance.ErrPermissions, instance.ErrNoBinaries,
}

// checkFolder looks at PostgreSQL's data folder. A PostgreSQL that runs on it is never refused: it is the only one who could be serving, and
// somebody has to guard it.
func (n *Node) checkFolder(ctx context.Context) (running bool, err error) {
	if !n.cfg.Roles.Postgres {
		return false, nil
	}
	f, err := instance.Look(ctx, instanceOptions(n.cfg))
	if err != nil {
		return false, err
	}
	if f.Err == nil || !slices.ContainsFunc(hopeless, func(e error) bool { return errors.Is(f.Err, e) }) {
		return f.PID != 0, nil
	}
	if f.PID != 0 {
		n.log.Warn("PostgreSQL runs on a data folder that it could not be started on", "error", f.Err)
		return true, nil
	}
	return false, fmt.Errorf("%s: postgresql.data_dir: %w", n.cfg.At("postgresql.data_dir"), f.Err)
}

// checkPorts finds the ports that somebody else listens on. PostgreSQL's own is taken when it runs already.
func (n *Node) checkPorts(running bool) error {
	err := n.cfg.CheckPorts()
	var all *config.Error
	if !errors.As(err, &all) {
		return err
	}
	left := slices.DeleteFunc(slices.Clone(all.Problems), func(p config.Problem) bool {
		return running && p.Key == "postgresql.listen" || n.inherited(p.Key)
	})
	if len(left) == 0 {
		return nil
	}
	return &config.Error{Problems: left}
}

// inherited says whether a listener's socket was open before this process.
func (n *Node) inherited(key string) bool {
	for i, l := range n.cfg.Proxy.Listeners {
		if key == fmt.Sprintf("proxy.listeners[%d].listen", i) {
			host, port, err := net.SplitHostPort(l.Listen)
			number, _ := strconv.Atoi(port)
			return err == nil && n.opt.Sockets.holds(host, number)
		}
	}
	return false
}

// fewDescriptors is what a host without clients needs: sockets of the store, its peers and the API, and the store's files.
const fewDescriptors = 256

// checkDescriptors refuses a limit that the process would reach at rest. The router counts its own sessions besides.
func (n *Node) checkDescriptors() error {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil || lim.Cur >= fewDescriptors {
		return err
	}
	return errors.New("too few file descriptors: the process may open " + strconv.FormatUint(lim.Cur, 10) + ", and needs at least " +
		strconv.Itoa(fewDescriptors) + "; raise the limit (LimitNOFILE= in the service, ulimit -n in a shell)")
}
