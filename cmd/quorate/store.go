package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/api/client"
	"quorate/internal/config"
	"quorate/internal/dcsclient"
	"quorate/internal/etcdsrv"
)

// storeTimeout bounds one request to the store.
const storeTimeout = 10 * time.Second

// errV2 means that a command needs the store and the store speaks etcd's old API only.
var errV2 = errors.New("the section etcd names a store by its v2 API, which this command cannot use: use etcd3 (or --dcs-url etcd3://...)")

// place is where the store is, and how it is spoken to.
type place struct {
	api                int // etcd's
	endpoints          []string
	tls                *tls.Config
	username, password string
}

// storeAt finds the store: Quorate's own or an etcd.
func (s *session) storeAt(ctx context.Context) (place, error) {
	at := place{api: 3, endpoints: s.cfg.StoreEndpoints}
	e := s.cfg.Etcd
	if e == nil { // Quorate's own
		t := s.cfg.StoreTLS
		e = &config.Etcd{CACert: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, KeyPassword: t.KeyFilePassword}
	} else {
		at = place{api: e.API, endpoints: e.Endpoints, username: e.Username, password: e.Password}
		if e.SRV != "" {
			found, err := etcdsrv.Find(ctx, s.dns(), e.SRV, e.SRVSuffix)
			if err != nil && len(at.endpoints) == 0 {
				return at, fmt.Errorf("srv: %w", err)
			}
			if err == nil {
				at.endpoints = found
			}
		}
	}
	var err error
	if at.tls, err = storeTLS(e, at.endpoints); err != nil {
		return at, err
	}
	if len(at.endpoints) == 0 {
		return at, errors.New("the configuration names no store: expected gossip.join, etcd3.hosts or --dcs-url")
	}
	return at, nil
}

// dns is who is asked for srv.
func (s *session) dns() etcdsrv.Resolver {
	if s.resolver != nil {
		return s.resolver
	}
	return net.DefaultResolver
}

// store connects to the store itself, by the v3 API.
func (s *session) store() (*clientv3.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	at, err := s.storeAt(ctx)
	if err != nil {
		return nil, err
	}
	if at.api == 2 {
		return nil, errV2
	}
	db, err := clientv3.New(clientv3.Config{
		Endpoints: at.endpoints, TLS: at.tls, Username: at.username, Password: at.password, DialTimeout: storeTimeout, Logger: zap.NewNop(),
	})
	if err != nil {
		return nil, fmt.Errorf("connect to the store (%s): %w", strings.Join(at.endpoints, ", "), err)
	}
	return db, nil
}

// storeTLS is nil for a store without TLS.
func storeTLS(e *config.Etcd, endpoints []string) (*tls.Config, error) {
	if len(endpoints) == 0 || !strings.HasPrefix(endpoints[0], "https://") {
		return nil, nil
	}
	return client.TLSFiles{CACert: e.CACert, CertFile: e.Cert, KeyFile: e.Key, KeyPassword: e.KeyPassword}.Config()
}

// answerTimeout is how long any host of the store may take for its first answer.
const answerTimeout = 3 * time.Second

// answersAtAll asks all of the store's hosts for their status until one answers: a request to a store that is not there would wait for it. The error
// names each with its own.
func answersAtAll(ctx context.Context, db *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	type answer struct {
		host string
		err  error
	}
	hosts := db.Endpoints()
	answers := make(chan answer, len(hosts))
	for _, host := range hosts {
		go func() {
			err := listens(ctx, host) // gRPC goes on trying, and says in the end only that time is over
			if err == nil {
				_, err = db.Status(ctx, host)
			}
			answers <- answer{host, err}
		}()
	}
	said := map[string]string{}
	for range hosts {
		a := <-answers
		if a.err == nil {
			return nil
		}
		said[a.host] = dcsclient.Words(a.err)
	}
	text := ""
	for _, host := range hosts {
		text += "\n" + host + ": " + said[host]
	}
	return errors.New("store: no host of it answers" + text + "\n(say where the store is by -c FILE or -d URL)")
}

// listens says why nobody takes connections at an endpoint; nil: somebody does.
func listens(ctx context.Context, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Port() == "" {
		return nil // the client knows better
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err == nil {
		_ = c.Close()
	}
	return err
}

// withStore runs something with a connection to the store, for at most storeTimeout.
func (s *session) withStore(ctx context.Context, do func(ctx context.Context, db *clientv3.Client) error) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	if err := answersAtAll(ctx, db); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := do(ctx, db); err != nil {
		return fmt.Errorf("store (%s): %w", strings.Join(db.Endpoints(), ", "), err)
	}
	return nil
}

// prefix is where a cluster's keys begin.
func (s *session) prefix(scope string) string { return s.cfg.Namespace + "/" + scope + "/" }
