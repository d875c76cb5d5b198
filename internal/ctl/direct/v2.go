package direct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"quorate/raftstore/dcs"
)

// v2 is the store by etcd's v2 API, from the first host that answers.
type v2 struct {
	o    Options
	http *http.Client
}

func newV2(o Options) *v2 {
	return &v2{o: o, http: &http.Client{Timeout: o.Timeout, Transport: &http.Transport{TLSClientConfig: o.TLS}}}
}

func (s *v2) close() error {
	s.http.CloseIdleConnections()
	return nil
}

// v2Node is a key, or a folder of keys.
type v2Node struct {
	Key, Value                  string
	Dir                         bool
	CreatedIndex, ModifiedIndex int64
	Nodes                       []v2Node
}

// v2Answer is an answer, or an error.
type v2Answer struct {
	Node      v2Node
	ErrorCode int
	Message   string
}

// The errors of etcd's v2 API that are answers here.
const (
	v2NoKey     = 100
	v2Compare   = 101
	v2NodeThere = 105
)

func (s *v2) load(ctx context.Context, keys dcs.Keys) (*dcs.Cluster, error) {
	a, header, err := s.ask(ctx, http.MethodGet, strings.TrimSuffix(keys.Prefix(), "/"), "recursive=true&quorum=true", nil)
	if err != nil {
		return nil, err
	}
	cluster, _ := strconv.ParseUint(header.Get("X-Etcd-Cluster-Id"), 16, 64)
	revision, _ := strconv.ParseInt(header.Get("X-Etcd-Index"), 10, 64)
	return dcs.Parse(keys, cluster, revision, leaves(nil, a.Node)), nil
}

func leaves(out []dcs.KV, n v2Node) []dcs.KV {
	if !n.Dir && n.Key != "" {
		return append(out, dcs.KV{Key: n.Key, Value: []byte(n.Value), CreateRevision: n.CreatedIndex, ModRevision: n.ModifiedIndex})
	}
	for _, sub := range n.Nodes {
		out = leaves(out, sub)
	}
	return out
}

func (s *v2) put(ctx context.Context, key, value string, mod int64, _ ...dcs.Compare) (bool, error) {
	form := url.Values{"value": {value}}
	if mod == 0 {
		form.Set("prevExist", "false")
	} else {
		form.Set("prevIndex", strconv.FormatInt(mod, 10))
	}
	a, _, err := s.ask(ctx, http.MethodPut, key, "", form)
	return err == nil && a.ErrorCode == 0, err
}

// ask is answered by the first host that can be reached. A write that arrives twice fails the second time, by its condition.
func (s *v2) ask(ctx context.Context, method, key, query string, form url.Values) (v2Answer, http.Header, error) {
	errs := []error{errors.New("no etcd host answers")}
	for _, endpoint := range s.o.Endpoints {
		a, header, err := s.askOne(ctx, method, endpoint+"/v2/keys"+key+"?"+query, form)
		if err == nil {
			return a, header, nil
		}
		errs = append(errs, err)
	}
	return v2Answer{}, nil, errors.Join(errs...)
}

func (s *v2) askOne(ctx context.Context, method, url string, form url.Values) (a v2Answer, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(form.Encode()))
	if err != nil {
		return a, nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if s.o.Username != "" {
		req.SetBasicAuth(s.o.Username, s.o.Password)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return a, nil, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, 16<<20)).Decode(&a); err != nil {
		return a, nil, fmt.Errorf("answer of %s (%s): %w", url, resp.Status, err)
	}
	switch a.ErrorCode {
	case 0, v2NoKey, v2Compare, v2NodeThere:
		return a, resp.Header, nil
	}
	return a, nil, fmt.Errorf("%s answered %d: %s", url, resp.StatusCode, a.Message)
}
