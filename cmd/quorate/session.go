package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/config/dynamic"
	"quorate/internal/ctl"
	"quorate/internal/ctl/direct"
)

// session is one command's way to a cluster.
type session struct {
	*app
	cfg    *config.Client
	client *client.Client
	tls    *tls.Config
	scope  string // as asked for; "": whichever the members belong to
	// hint is a word that may be the cluster's name, or that of a member: the members that answer know, and without them the store.
	hint string
	// stored is the cluster by its keys, while no member answers; nil while one does.
	stored *direct.View
	warned bool // that no member answers has been said
}

// connectBy is connect for a command whose first argument may be the cluster or a member.
func (a *app) connectBy(args []string) (*session, error) {
	s, err := a.connect("")
	if err == nil {
		s.hint = firstOf(args)
	}
	return s, err
}

// connect reads the configuration and makes ready to ask members.
func (a *app) connect(scope string) (*session, error) {
	cfg, err := a.clientConfig()
	if err != nil {
		return nil, err
	}
	t, err := a.memberTLS(cfg)
	if err != nil {
		return nil, err
	}
	if scope == "" {
		scope = cfg.Scope
	}
	s := &session{app: a, cfg: cfg, scope: scope, tls: t}
	s.client = client.New(s.options(cfg.Members))
	return s, nil
}

// options are those of a client for some members.
func (s *session) options(urls []string) client.Options {
	auth := s.cfg.Authentication
	return client.Options{URLs: urls, Username: auth.Username, Password: auth.Password, TLS: s.tls}
}

// memberTLS is how members with https are trusted.
func (a *app) memberTLS(cfg *config.Client) (*tls.Config, error) {
	return client.TLSFiles{
		CACert: cfg.CACert, CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, KeyPassword: cfg.KeyFilePassword,
		Insecure: cfg.Insecure || a.insecure,
	}.Config()
}

// clientConfig finds the configuration: -c, PATRONICTL_CONFIG_FILE, the host's own, patronictl's. Without any there is localhost.
func (a *app) clientConfig() (*config.Client, error) {
	path, explicit := a.configPath()
	if explicit {
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("the configuration %s: %w", path, reason(err))
		}
	}
	env := a.env
	if a.dcsNamed() { // then the members are those that this store knows
		over, err := dcsEnv(cmp.Or(a.dcsURL, env["DCS_URL"]))
		if err != nil {
			return nil, err
		}
		env = withDCS(env, over)
	}
	a.noteNowhere(path)
	cfg, warnings, err := config.LoadClient(config.LoadOptions{Path: path, Env: env, EtcdFirst: a.dcsNamed()})
	for _, w := range warnings {
		if !w.Note && strings.Contains(a.env["PATRONI_LOG_LEVEL"]+a.env["LOGLEVEL"], "DEBUG") {
			fmt.Fprintln(a.err, w)
		}
	}
	return cfg, err
}

// noteNowhere says that nothing says where the cluster is: then this host is asked, and whatever answers there belongs to somebody.
func (a *app) noteNowhere(path string) {
	if _, err := os.Stat(path); err == nil || a.dcsNamed() || a.toldNowhere {
		return
	}
	for name := range a.env {
		if strings.HasPrefix(name, "PATRONI_") || strings.HasPrefix(name, "QUORATE_") {
			return
		}
	}
	a.toldNowhere = true
	fmt.Fprintf(a.err, "Note: there is no configuration (%s), no -c and no -d: this host is asked, at 127.0.0.1 with the usual ports\n", path)
}

// reason is what the system says of a file, without the call that it says it of.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// dcsNamed says whether a person named the store.
func (a *app) dcsNamed() bool { return a.dcsURL != "" || a.env["DCS_URL"] != "" }

// configPath is the file to read, and whether a person named it.
func (a *app) configPath() (path string, explicit bool) {
	if a.configFile != "" {
		return a.configFile, true
	}
	if path := a.env["PATRONICTL_CONFIG_FILE"]; path != "" {
		return path, true
	}
	patronictl := filepath.Join(a.env["HOME"], ".config/patroni/patronictl.yaml")
	candidates := []string{config.DefaultPath, patronictl}
	if a.calledAs == "patronictl" {
		slices.Reverse(candidates)
	}
	for _, path := range candidates {
		if _, err := os.Stat(path); err == nil {
			return path, false
		}
	}
	return candidates[0], false
}

// cluster reads the cluster from the first member that answers: of those that the configuration names, else of those that the store
// knows. A person who names the store means its members. When no member answers, it is what the store has.
func (s *session) cluster(ctx context.Context) (ctl.Cluster, error) {
	s.stored = nil
	var err error
	var c ctl.Cluster
	if !s.dcsNamed() {
		if c, err = s.ask(ctx); err == nil && (s.hint == "" || c.Name == s.hint || c.Member(s.hint) != nil) {
			return c, nil
		}
	}
	v, storeErr := s.lookUp(ctx)
	switch {
	case storeErr != nil && err == nil && c.Name != "":
		return c, nil // of another name than the hint: whoever wants a member of it says so
	case storeErr != nil && err != nil:
		return ctl.Cluster{}, s.unreachable(err, storeErr)
	case storeErr != nil:
		return ctl.Cluster{}, storeErr
	case errors.Is(err, client.ErrNoMember) && s.asked(v.URLs()):
		return s.byKeys(v), nil
	}
	s.client.Close()
	s.client = client.New(s.options(v.URLs()))
	if c, err = s.ask(ctx); errors.Is(err, client.ErrNoMember) {
		return s.byKeys(v), nil
	}
	return c, err
}

// ask reads the cluster from the client's members.
func (s *session) ask(ctx context.Context) (ctl.Cluster, error) {
	c, err := s.client.Cluster(ctx)
	if err != nil {
		return ctl.Cluster{}, err
	}
	if c.Age != "" {
		fmt.Fprintf(s.app.err, "Warning: the store cannot be read, or has no leader: this is what %s saw %s seconds ago; `quorate doctor` says what the store lacks\n", c.From, c.Age)
	}
	out := ctl.Cluster{Cluster: c, Name: c.Scope, Initialize: "uninitialized"}
	status, err := s.client.FirstStatus(ctx, c.URLs())
	if err == nil {
		if status.SystemIdentifier != "" {
			out.Initialize = status.SystemIdentifier
		}
		if out.Name == "" { // Patroni before 4.1 does not tell it in /cluster
			out.Name = status.Patroni.Scope
		}
	}
	if out.Initialize == "uninitialized" { // or a host without PostgreSQL has answered
		out.Initialize = cmp.Or(s.client.SystemID(ctx, c.From), out.Initialize)
	}
	if out.Name == "" {
		out.Name = s.scope
	}
	if s.scope != "" && out.Name != s.scope {
		return ctl.Cluster{}, fmt.Errorf("the cluster %s is not there: %s belongs to the cluster %s", s.scope, c.From, out.Name)
	}
	return out, nil
}

// unreachable says who was asked, and what to do about it.
func (s *session) unreachable(err, storeErr error) error {
	if !errors.Is(err, client.ErrNoMember) {
		return err
	}
	return fmt.Errorf("%w\nasked: %s\nthen: %w\n(say where the cluster is by -c FILE or -d URL)", err, strings.Join(s.cfg.Members, ", "), storeErr)
}

// sharedConfig reads the cluster's dynamic configuration.
func (s *session) sharedConfig(ctx context.Context, c ctl.Cluster) (map[string]any, error) {
	if s.stored != nil {
		v, err := s.lookUp(ctx)
		if err != nil {
			return nil, err
		}
		return v.Config()
	}
	text, err := s.client.Config(ctx, c.URLs())
	if err != nil {
		return nil, fmt.Errorf("read the configuration of cluster %s: %w", c.Name, err)
	}
	return decodeConfig(text)
}

// promotions reads the cluster's history.
func (s *session) promotions(ctx context.Context, c ctl.Cluster) ([]client.HistoryLine, error) {
	if s.stored != nil {
		return s.stored.History(), nil
	}
	return s.client.History(ctx, c.URLs())
}

// profile holds the defaults and minimums of the cluster's times. The store's election timeout is not known here, so that only its
// members correct a ttl that is too short for it.
func (s *session) profile() dynamic.Profile {
	if s.cfg.Etcd != nil {
		return dynamic.EtcdProfile()
	}
	return dynamic.OwnProfile(config.DefaultElection)
}

// show prints the member list.
func (s *session) show(c ctl.Cluster) { fmt.Fprint(s.out, ctl.Members(c, ctl.Pretty, false)) }
