package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"quorate/api/client"
	"quorate/internal/ctl"
	"quorate/internal/ctl/direct"
)

// discoverTimeout bounds one question to the store when the members that the configuration names do not answer.
const discoverTimeout = 3 * time.Second

// errNoScope means that the store cannot be asked for a cluster without a name.
var errNoScope = errors.New("the configuration has no scope, and no cluster was named")

// openStore makes ready to ask the store for the cluster. The caller closes it.
func (s *session) openStore(ctx context.Context) (*direct.Store, error) {
	scope := cmp.Or(s.scope, s.hint)
	if scope == "" {
		return nil, errNoScope
	}
	at, err := s.storeAt(ctx)
	if err != nil {
		return nil, err
	}
	return direct.Open(direct.Options{
		API: at.api, Endpoints: at.endpoints, TLS: at.tls, Username: at.username, Password: at.password, Timeout: discoverTimeout,
		Namespace: s.cfg.Namespace, Scope: scope,
	})
}

// lookUp reads the cluster from the store.
func (s *session) lookUp(ctx context.Context) (direct.View, error) {
	store, err := s.openStore(ctx)
	if err != nil {
		return direct.View{}, err
	}
	defer store.Close()
	v, err := store.Read(ctx)
	if err == nil && !v.Exists() {
		return v, fmt.Errorf("the store (%s) knows no cluster %s: a slip in the name, or in the namespace (%s)?", store, v.Name, s.cfg.Namespace)
	}
	return v, err
}

// inStore does something in the store itself, in place of a member that cannot be reached.
func (s *session) inStore(ctx context.Context, do func(*direct.Store) error) error {
	store, err := s.openStore(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	return do(store)
}

// byKeys is the cluster as the store has it, for when no member answers: enough to see, and to change what the store alone decides.
func (s *session) byKeys(v direct.View) ctl.Cluster {
	if s.stored == nil && !s.warned {
		s.warned = true
		fmt.Fprintf(s.app.err, "Warning: no member of %s answers: this is what the store has of it\n", v.Name)
		for _, p := range v.Problems() {
			fmt.Fprintf(s.app.err, "Warning: %s\n", p)
		}
	}
	s.stored = &v
	return v.Cluster
}

// asked says whether all these members are among those that were asked already.
func (s *session) asked(urls []string) bool {
	return !slices.ContainsFunc(urls, func(url string) bool {
		return !slices.ContainsFunc(s.cfg.Members, func(m string) bool { return client.Base(m) == client.Base(url) })
	})
}
