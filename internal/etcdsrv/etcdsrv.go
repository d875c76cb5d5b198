// Package etcdsrv finds an etcd by DNS, as Patroni's settings srv and srv_suffix say (patroni/dcs/etcd.py, _get_machines_cache_from_srv).
package etcdsrv

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Resolver asks DNS; [net.DefaultResolver] does.
type Resolver interface {
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// services are the names in the order in which they are asked for: clients' addresses first, then the peers', who are asked for them. Names
// with -ssl stand for https.
var services = []string{"etcd-client-ssl", "etcd-client", "etcd-ssl", "etcd", "etcd-server-ssl", "etcd-server"}

// ErrNone means that DNS has no such records, or that none led to an etcd.
var ErrNone = errors.New("DNS knows no etcd there")

// peerTimeout bounds the question to one peer.
const peerTimeout = 5 * time.Second

// Find is the clients' URLs of the etcd that DNS knows beneath a domain: of the first name that has any. suffix is added to each name, which tells
// several etcds of a domain apart.
func Find(ctx context.Context, r Resolver, domain, suffix string) ([]string, error) {
	var errs []error
	for _, service := range services {
		scheme := "http"
		if strings.Contains(service, "-ssl") {
			scheme = "https"
		}
		name := service
		if suffix != "" {
			name += "-" + suffix
		}
		_, records, err := r.LookupSRV(ctx, name, "tcp", domain)
		if err != nil {
			var none *net.DNSError
			if !errors.As(err, &none) || !none.IsNotFound {
				errs = append(errs, err)
			}
			continue
		}
		urls := hosts(scheme, records)
		if strings.Contains(service, "-server") {
			if urls, err = askPeers(ctx, urls); err != nil {
				errs = append(errs, err)
			}
		}
		if len(urls) > 0 {
			return urls, nil
		}
	}
	return nil, fmt.Errorf("%w: no SRV record of %s", errors.Join(append([]error{ErrNone}, errs...)...), strings.Join(names(domain, suffix), ", "))
}

// names are those that were asked for, for people.
func names(domain, suffix string) []string {
	var out []string
	for _, s := range services {
		if suffix != "" {
			s += "-" + suffix
		}
		out = append(out, "_"+s+"._tcp."+domain)
	}
	return out
}

func hosts(scheme string, records []*net.SRV) []string {
	var out []string
	for _, r := range records {
		out = append(out, scheme+"://"+net.JoinHostPort(strings.TrimSuffix(r.Target, "."), strconv.Itoa(int(r.Port))))
	}
	return out
}

// askPeers asks etcd's peers, the first that answers, where clients find the members. Their certificates are for each other and name no host that
// could be verified; what they say is only where to look.
func askPeers(ctx context.Context, peers []string) ([]string, error) {
	c := &http.Client{Timeout: peerTimeout, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	var errs []error
	for _, peer := range peers {
		urls, err := clientURLs(ctx, c, peer+"/members")
		if err == nil && len(urls) > 0 {
			return urls, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func clientURLs(ctx context.Context, c *http.Client, url string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answered %s", url, resp.Status)
	}
	var members []struct {
		ClientURLs []string `json:"clientURLs"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&members); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", url, err)
	}
	var out []string
	for _, m := range members {
		out = append(out, m.ClientURLs...)
	}
	return out, nil
}
