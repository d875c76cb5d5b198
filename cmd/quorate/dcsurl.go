package main

import (
	"fmt"
	"maps"
	"net"
	"net/url"
	"strings"

	"quorate/internal/config/dynamic"
)

// dcsEnv reads the option --dcs-url, DCS://HOST:PORT/NAMESPACE, into the variables that say the same.
func dcsEnv(text string) (map[string]string, error) {
	if !strings.Contains(text, "//") {
		text = "//" + text
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--dcs-url: %w", err)
	}
	scheme := u.Scheme
	if scheme == "" {
		scheme = "etcd"
	}
	if scheme != "etcd" && scheme != "etcd3" {
		return nil, fmt.Errorf("--dcs-url: unknown dcs scheme: %s (expected etcd3 or etcd)", scheme)
	}
	host, port := u.Hostname(), u.Port()
	if host == "" {
		host = "localhost"
	}
	if port == "" {
		port = "2379"
	}
	out := map[string]string{"PATRONI_" + strings.ToUpper(scheme) + "_HOST": net.JoinHostPort(host, port)}
	if ns := strings.TrimSpace(u.Path); ns != "" && ns != "/" {
		out["PATRONI_NAMESPACE"] = ns
	}
	return out, nil
}

// withDCS lays the variables of --dcs-url over an environment.
func withDCS(env, over map[string]string) map[string]string {
	out := maps.Clone(env)
	for name := range out {
		if strings.HasPrefix(name, "PATRONI_ETCD") {
			delete(out, name)
		}
	}
	maps.Copy(out, over)
	return out
}

func decodeConfig(text []byte) (map[string]any, error) {
	m, err := dynamic.Decode(text)
	if err != nil {
		return nil, fmt.Errorf("a member gave a configuration that cannot be read: %w", err)
	}
	return m, nil
}
