package quoratestack

import (
	"bytes"
	"slices"
	"text/template"

	"quorate/test/lab"
)

// configuration is one host's file. A lab's hosts share one file system, hence folders of their own for data and sockets; everything else
// that differs from host to host is the name.
var configuration = template.Must(template.New("quorate").Parse(`scope: lab
name: {{.Host.Name}}
roles: [{{.Roles}}]
store:
  data_dir: {{.Host.Dir}}/store
{{- if .Found}}
  expect: {{.Found}}
{{- end}}
gossip:
  join: [{{range $i, $h := .Peers}}{{if $i}}, {{end}}{{$h.IP}}{{end}}]
  secret: a lab has no secrets
bootstrap:
  dcs:
    synchronous_mode: {{or .Mode .Synchronous}}
{{- range $key, $value := .DCS}}
    {{$key}}: {{$value}}
{{- end}}
    postgresql:
      parameters:
        max_connections: 100
{{- range $key, $value := .Parameters}}
        {{$key}}: "{{$value}}"
{{- end}}
      pg_hba:
      - local all all trust
      - host replication replicator all scram-sha-256
      - host all all all scram-sha-256
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
{{- with index .Tags .Host.Name}}
tags: {{.}}
{{- end}}
postgresql:
  data_dir: {{.Data}}
  parameters:
    unix_socket_directories: {{.Run}}
  authentication:
    superuser: {username: postgres, password: postgres}
    replication: {username: replicator, password: replicator}
    rewind: {username: rewinder, password: rewinder}
`))

// member is what a configuration is made of.
type member struct {
	Options
	Host      *lab.Host
	Roles     string
	Found     int // store.expect
	Data, Run string
}

// Peers are the hosts that everybody asks for the others: those with the store.
func (m member) Peers() []*lab.Host { return slices.Concat(m.Hosts, m.StoreOnly) }

func (m member) render() ([]byte, error) {
	var b bytes.Buffer
	err := configuration.Execute(&b, m)
	return b.Bytes(), err
}
