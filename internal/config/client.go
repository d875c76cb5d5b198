package config

import (
	"errors"
	"net"
	"slices"
	"strconv"
)

// Client is what a command needs to know of a configuration: where members are, and how they are spoken to.
type Client struct {
	Scope     string
	Namespace string
	Members   []string // base URLs of the HTTP API, the likeliest first
	// Authentication is that of ctl, else that of restapi, as in Patroni.
	Authentication  BasicAuth
	CACert          string // of ctl, else restapi.cafile
	CertFile        string // of ctl only
	KeyFile         string
	KeyFilePassword string
	Insecure        bool
	Etcd            *Etcd    // the foreign store; nil: Quorate's own
	StoreEndpoints  []string // URLs of Quorate's store
	StoreTLS        TLS      // store.client_tls: what is shown to it, and who signs its certificates
}

// LoadClient reads a configuration for a command. Without a file and without variables it is that of a host with defaults: the API of
// localhost. Settings that only matter to a running host are not checked.
func LoadClient(o LoadOptions) (*Client, []Warning, error) {
	in, err := input(o)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, nil, err
	}
	return ParseClient(in)
}

// ParseClient is the pure part of [LoadClient].
func ParseClient(in Input) (*Client, []Warning, error) {
	in.Host = Host{} // Whose addresses they are does not matter: the file may be that of another host.
	p := &parser{in: in, c: &Config{}}
	top := p.top()
	p.patroniRaft(top)
	p.ownAddress(top)
	p.c.Roles = allRoles
	if p.foreign(top) {
		p.c.Roles = Roles{}
	}
	p.etcd(top)
	rest, ctl := top.sub("restapi"), top.sub("ctl")
	p.rest(rest)
	p.ctl(ctl)
	c := &Client{
		Scope:           top.text("scope"),
		Namespace:       namespace(top),
		Authentication:  p.c.CTL.Authentication,
		CACert:          p.c.CTL.CACert,
		CertFile:        p.c.CTL.CertFile,
		KeyFile:         p.c.CTL.KeyFile,
		KeyFilePassword: p.c.CTL.KeyFilePassword,
		Insecure:        p.c.CTL.Insecure,
		Etcd:            p.c.Etcd,
	}
	if c.Authentication == (BasicAuth{}) {
		c.Authentication = p.c.REST.Authentication
	}
	if c.CACert == "" {
		c.CACert = p.c.REST.TLS.CAFile
	}
	p.clientHosts(c, top, rest)
	p.sort(in.Texts)
	if err := p.err(); err != nil {
		return nil, p.warnings, err
	}
	return c, p.warnings, nil
}

// clientHosts finds members: this host by restapi, the others by gossip.join.
func (p *parser) clientHosts(c *Client, top, rest *section) {
	scheme := "http://"
	if p.c.REST.TLS.Enabled() {
		scheme = "https://"
	}
	add := func(list *[]string, url string) {
		if !slices.Contains(*list, url) {
			*list = append(*list, url)
		}
	}
	if rest.has("connect_address") {
		add(&c.Members, scheme+p.c.REST.ConnectAddress)
	}
	host, port, _ := net.SplitHostPort(p.c.REST.Listen)
	if isWildcard(host) {
		host = loopback
	}
	add(&c.Members, scheme+net.JoinHostPort(host, port))
	store := quiet(top, "store")
	storePort := store.port("client_port", etcdPort)
	storeScheme := "http://"
	if c.StoreTLS = tlsFiles(quiet(store, "client_tls")); c.StoreTLS.Enabled() || c.StoreTLS.CAFile != "" {
		storeScheme = "https://"
	}
	if p.c.Etcd == nil {
		add(&c.StoreEndpoints, storeScheme+net.JoinHostPort(host, strconv.Itoa(storePort)))
	}
	for _, peer := range quiet(top, "gossip").list("join") {
		to, _, ok := splitHostPort(peer, gossipPort)
		if !ok || isWildcard(to) {
			continue
		}
		add(&c.Members, scheme+net.JoinHostPort(to, port))
		if p.c.Etcd == nil {
			add(&c.StoreEndpoints, storeScheme+net.JoinHostPort(to, strconv.Itoa(storePort)))
		}
	}
}
