package demo

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
)

// configuration is what a host is told. The addresses differ from a real host's: one to listen on, and one that the others are told.
var configuration = template.Must(template.New("quorate.yml").Parse(`# Made by quorate demo.
scope: demo
name: {{.Name}}
store:
  data_dir: {{.Dir}}/store
  listen: {{.Addr}}
  client_port: {{.Ports.Client}}
  peer_port: {{.Ports.Peer}}
  expect: {{len .Join}}
gossip:
  listen: {{.Addr}}:{{.Ports.Gossip}}
  advertise: {{.Via}}:{{.Ports.Gossip}}
  join: [{{range $i, $j := .Join}}{{if $i}}, {{end}}"{{$j}}"{{end}}]
  secret: {{.Secret}}
restapi:
  listen: {{.Addr}}:{{.Ports.REST}}
  connect_address: {{.Via}}:{{.Ports.REST}}
proxy:
  listeners:
  - {name: primary, listen: "{{.Addr}}:{{.Ports.Primary}}", target: primary}
  - {name: replica, listen: "{{.Addr}}:{{.Ports.Replica}}", target: replica}
bootstrap:
  dcs:
    synchronous_mode: on
    postgresql:
      parameters: {max_connections: 50, shared_buffers: 32MB}
      pg_hba:
      - local all all trust
      - host replication replicator all scram-sha-256
      - host all all all scram-sha-256
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
postgresql:
  listen: {{.Addr}}:{{.Ports.Postgres}}
  connect_address: {{.Via}}:{{.Ports.Postgres}}
  data_dir: {{.Dir}}/data
{{- with .BinDir}}
  bin_dir: {{.}}
{{- end}}
  parameters:
    unix_socket_directories: {{.Dir}}
    dynamic_shared_memory_type: mmap # in the data folder: a killed PostgreSQL leaves nothing in /dev/shm
  authentication:
    superuser: {username: postgres, password: {{.Secret}}}
    replication: {username: replicator, password: {{.Secret}}}
    rewind: {username: rewinder, password: {{.Secret}}}
`))

// shownPorts are the ports as the template names them.
type shownPorts struct{ Client, Peer, Postgres, Gossip, REST, Primary, Replica uint16 }

func (p ports) shown() shownPorts {
	return shownPorts{p.client, p.peer, p.postgres, p.gossip, p.rest, p.primary, p.replica}
}

// secret encrypts what the hosts tell each other, and is the password of all accounts: others may have accounts on this machine.
func secret() string { return rand.Text()[:12] }

// writeConfig makes a host's folder and its configuration.
func (d *Demo) writeConfig(h *host) error {
	var join []string
	for i := range d.hosts {
		join = append(join, at(d.net.via(i+1), d.net.gossip))
	}
	var b bytes.Buffer
	if err := configuration.Execute(&b, map[string]any{
		"Name": h.name, "Dir": h.dir, "Addr": h.addr, "Via": h.via, "Ports": d.net.ports.shown(), "Join": join, "Secret": d.secret, "BinDir": d.opt.BinDir,
	}); err != nil {
		return fmt.Errorf("configuration of %s: %w", h.name, err)
	}
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		return err
	}
	if err := d.owner.give(h.dir); err != nil {
		return err
	}
	return os.WriteFile(h.config(), b.Bytes(), 0o600)
}

func (h *host) config() string { return filepath.Join(h.dir, "quorate.yml") }
func (h *host) log() string    { return filepath.Join(h.dir, "quorate.log") }
