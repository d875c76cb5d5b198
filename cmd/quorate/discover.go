package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"quorate/internal/config"
)

// discoverTimeout bounds the look into the store when the members that the configuration names do not answer.
const discoverTimeout = 3 * time.Second

// errNoScope means that the store cannot be asked for a cluster without a name.
var errNoScope = errors.New("the configuration has no scope, and no cluster was named")

// discover asks the store for the members of a cluster: their API addresses.
func (s *session) discover(ctx context.Context) ([]string, error) {
	scope := cmp.Or(s.scope, s.hint)
	if scope == "" {
		return nil, errNoScope
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	values, err := s.memberValues(ctx, scope)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, v := range values {
		var m struct {
			APIURL string `json:"api_url"`
		}
		if json.Unmarshal(v, &m) == nil && m.APIURL != "" {
			urls = append(urls, m.APIURL)
		}
	}
	if len(urls) == 0 {
		return nil, fmt.Errorf("the store knows no member of the cluster %s", scope)
	}
	return urls, nil
}

// memberValues are the contents of a cluster's members/*.
func (s *session) memberValues(ctx context.Context, scope string) (values [][]byte, err error) {
	if e := s.cfg.Etcd; e != nil && e.API == 2 {
		return s.memberValuesV2(ctx, e, scope)
	}
	err = s.withStore(ctx, func(ctx context.Context, db *clientv3.Client) error {
		r, err := db.Get(ctx, s.prefix(scope)+"members/", clientv3.WithPrefix())
		if err != nil {
			return err
		}
		for _, kv := range r.Kvs {
			values = append(values, kv.Value)
		}
		return nil
	})
	return values, err
}

// memberValuesV2 reads them by etcd's old API, from the first host that answers.
func (s *session) memberValuesV2(ctx context.Context, e *config.Etcd, scope string) ([][]byte, error) {
	errs := []error{errors.New("no etcd host answers")}
	for _, endpoint := range e.Endpoints {
		values, err := readV2(ctx, e, endpoint+"/v2/keys"+s.prefix(scope)+"members?recursive=true")
		if err == nil {
			return values, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func readV2(ctx context.Context, e *config.Etcd, url string) ([][]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if e.Username != "" {
		req.SetBasicAuth(e.Username, e.Password)
	}
	t, err := storeTLS(e)
	if err != nil {
		return nil, err
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: t, DisableKeepAlives: true}}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var tree struct {
		Message string
		Node    struct {
			Nodes []struct{ Value string }
		}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&tree); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", url, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d: %s", url, resp.StatusCode, tree.Message)
	}
	var values [][]byte
	for _, n := range tree.Node.Nodes {
		values = append(values, []byte(n.Value))
	}
	return values, nil
}
