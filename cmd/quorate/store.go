package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/api/client"
	"quorate/internal/config"
)

// storeTimeout bounds one request to the store.
const storeTimeout = 10 * time.Second

// errV2 means that a command needs the store and the store speaks etcd's old API only.
var errV2 = errors.New("the section etcd names a store by its v2 API, which this command cannot use: use etcd3 (or --dcs-url etcd3://...)")

// store connects to the store itself: Quorate's own or an etcd, by the v3 API.
func (s *session) store() (*clientv3.Client, error) {
	endpoints := s.cfg.StoreEndpoints
	c := clientv3.Config{DialTimeout: storeTimeout, Logger: zap.NewNop()}
	if e := s.cfg.Etcd; e != nil {
		if e.API == 2 {
			return nil, errV2
		}
		endpoints, c.Username, c.Password = e.Endpoints, e.Username, e.Password
		var err error
		if c.TLS, err = storeTLS(e); err != nil {
			return nil, err
		}
	}
	if len(endpoints) == 0 {
		return nil, errors.New("the configuration names no store: expected gossip.join, etcd3.hosts or --dcs-url")
	}
	c.Endpoints = endpoints
	db, err := clientv3.New(c)
	if err != nil {
		return nil, fmt.Errorf("connect to the store (%s): %w", strings.Join(endpoints, ", "), err)
	}
	return db, nil
}

// storeTLS is nil for a store without TLS.
func storeTLS(e *config.Etcd) (*tls.Config, error) {
	if len(e.Endpoints) == 0 || !strings.HasPrefix(e.Endpoints[0], "https://") {
		return nil, nil
	}
	return client.TLSFiles{CACert: e.CACert, CertFile: e.Cert, KeyFile: e.Key, KeyPassword: e.KeyPassword}.Config()
}

// withStore runs something with a connection to the store, for at most storeTimeout.
func (s *session) withStore(ctx context.Context, do func(ctx context.Context, db *clientv3.Client) error) error {
	db, err := s.store()
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := do(ctx, db); err != nil {
		return fmt.Errorf("store (%s): %w", strings.Join(db.Endpoints(), ", "), err)
	}
	return nil
}

// prefix is where a cluster's keys begin.
func (s *session) prefix(scope string) string { return s.cfg.Namespace + "/" + scope + "/" }
