package patronistack

import (
	"bytes"
	"text/template"

	"quorate/test/lab"
)

// member is what one host's configuration needs to know.
type member struct {
	Options
	Host           *lab.Host
	Bin, Data, Run string // programs, data folder, folder of the UNIX socket
}

var patroniConfig = template.Must(template.New("patroni").Parse(`scope: bench
name: {{.Host.Name}}
restapi:
  listen: {{.Host.Addr 8008}}
  connect_address: {{.Host.Addr 8008}}
{{.Driver}}:
  hosts: [{{range $i, $h := .Hosts}}{{if $i}}, {{end}}"{{$h.Addr 2379}}"{{end}}]
bootstrap:
  dcs:
    ttl: {{.TTL.Seconds}}
    loop_wait: {{.LoopWait.Seconds}}
    retry_timeout: {{.RetryTimeout.Seconds}}
    maximum_lag_on_failover: 1048576
    synchronous_mode: {{.Synchronous}}
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 100
        wal_log_hints: "on"
{{- range $key, $value := .Parameters}}
        {{$key}}: "{{$value}}"
{{- end}}
  initdb: [{encoding: UTF8}, {locale: C.UTF-8}, data-checksums]
postgresql:
  listen: "*:5432"
  connect_address: {{.Host.Addr 5432}}
  bin_dir: {{.Bin}}
  data_dir: {{.Data}}
  pgpass: {{.Run}}/pgpass
  parameters:
    unix_socket_directories: {{.Run}}
  pg_hba:
    - local all all trust
    - host replication replicator 127.0.0.1/32 md5
    - host replication replicator 10.77.0.0/24 md5
    - host all all 0.0.0.0/0 md5
  authentication:
    superuser: {username: postgres, password: postgres}
    replication: {username: replicator, password: replicator}
    rewind: {username: rewinder, password: rewinder}
`))

var haproxyConfig = template.Must(template.New("haproxy").Parse(`global
    maxconn 1000
defaults
    mode tcp
    retries 2
    timeout client 30m
    timeout connect 4s
    timeout server 30m
    timeout check 5s
{{define "listen"}}listen {{.Name}}
    bind {{.Options.Router.Addr .Port}}
    option httpchk GET /{{.Name}}
    http-check expect status 200
    default-server inter 2s fall 3 rise 2 on-marked-down shutdown-sessions
{{range .Options.Hosts}}    server {{.Name}} {{.Addr 5432}} maxconn 100 check port 8008
{{end}}{{end}}{{range .Listeners}}{{template "listen" .}}{{end}}`))

type listener struct {
	Options Options
	Name    string
	Port    int
}

func render(t *template.Template, data any) ([]byte, error) {
	var b bytes.Buffer
	err := t.Execute(&b, data)
	return b.Bytes(), err
}
