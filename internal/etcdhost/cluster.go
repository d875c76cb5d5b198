package etcdhost

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"quorate/raftstore"
)

// listen reads where this member listens and what it tells clients.
func (v *values) listen(c *Config) (err error) {
	if c.ListenClient, err = v.urls("listen-client-urls"); err != nil {
		return err
	}
	more, err := v.urls("listen-client-http-urls")
	if err != nil {
		return err
	}
	c.ListenClient = append(c.ListenClient, more...)
	if c.ListenMetrics, err = v.urls("listen-metrics-urls"); err != nil {
		return err
	}
	peers, err := v.urls("listen-peer-urls")
	if err != nil {
		return err
	}
	if len(c.ListenClient) == 0 || len(peers) == 0 {
		return errors.New("--listen-client-urls and --listen-peer-urls must not be empty")
	}
	for _, u := range peers {
		if secure(u) != secure(peers[0]) {
			return fmt.Errorf("--listen-peer-urls: %s and %s: all have TLS or none", peers[0], u)
		}
	}
	c.ListenPeer, c.peerSecure = peers, secure(peers[0])
	if v.has("listen-client-urls") && !v.has("advertise-client-urls") {
		return errors.New("--advertise-client-urls is required when --listen-client-urls is set explicitly")
	}
	advertised, err := v.urls("advertise-client-urls")
	for _, u := range advertised {
		c.ClientURLs = append(c.ClientURLs, u.String())
	}
	return errors.Join(err, c.checkTLS(v))
}

// checkTLS compares the schemes with the certificates.
func (c *Config) checkTLS(v *values) error {
	for _, u := range append(slices.Clone(c.ListenClient), c.ListenMetrics...) {
		switch {
		case secure(u) && !c.ClientTLS.given() && slices.Contains(c.ListenMetrics, u):
			return fmt.Errorf("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url %s", u)
		case secure(u) && !c.ClientTLS.given():
			return fmt.Errorf("TLS key/cert (--cert-file, --key-file) must be provided for client url %s with HTTPS scheme", u)
		case !secure(u) && c.ClientTLS.given() && slices.Contains(c.ListenClient, u):
			v.warn("the scheme of client url %s is http although certificates are given: it is served without TLS", u)
		}
	}
	switch {
	case c.peerSecure && !c.PeerTLS.given():
		return errors.New("TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for a peer url with HTTPS scheme")
	case !c.peerSecure && c.PeerTLS.given():
		v.warn("the scheme of the peer url is http although certificates are given: peers are not encrypted")
	case c.peerSecure && (c.PeerTLS.Auto || !c.PeerTLS.ClientAuth):
		v.warn("peers are encrypted but not authenticated: give --peer-trusted-ca-file and --peer-client-cert-auth")
	}
	return nil
}

// cluster reads who founds the cluster.
func (v *values) cluster(c *Config) error {
	own, err := v.urls("initial-advertise-peer-urls")
	if err != nil {
		return err
	}
	if len(own) == 0 {
		return errors.New("--initial-advertise-peer-urls must not be empty")
	}
	c.Advertise, c.peerUnix = address(own[0]), unixSocket(own[0])
	initial := v.get("initial-cluster")
	if initial == "" {
		initial = c.Name + "=" + own[0].String()
	}
	if c.Peers, err = members(initial); err != nil {
		return err
	}
	mine := slices.IndexFunc(c.Peers, func(p raftstore.Peer) bool { return p.Name == c.Name })
	if mine < 0 {
		return fmt.Errorf("couldn't find local name %q in the initial cluster configuration %q", c.Name, initial)
	}
	if c.Peers[mine].PeerAddr != c.Advertise {
		return fmt.Errorf("--initial-cluster has %s=%s but it is missing from --initial-advertise-peer-urls=%s",
			c.Name, c.Peers[mine].PeerAddr, v.get("initial-advertise-peer-urls"))
	}
	switch state := v.get("initial-cluster-state"); state {
	case "new":
		c.Expect = len(c.Peers)
	case "existing":
	default:
		return fmt.Errorf("--initial-cluster-state is %q, expected new or existing", state)
	}
	return nil
}

// members reads name=url,name=url; of several URLs of one name the first counts.
func members(s string) (list []raftstore.Peer, err error) {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(s, ",") {
		name, raw, ok := strings.Cut(strings.TrimSpace(part), "=")
		var u *url.URL
		if ok {
			u, err = hostURL(raw)
		}
		if !ok || name == "" || err != nil {
			return nil, errors.Join(fmt.Errorf("--initial-cluster: %q is not name=url", part), err)
		}
		if !seen[name] {
			list = append(list, raftstore.Peer{Name: name, PeerAddr: address(u)})
		}
		seen[name] = true
	}
	return list, nil
}
