package node

import (
	"fmt"
	"strconv"
	"testing"

	"quorate/internal/etcdsrv/dnstest"
)

// A host finds its etcd by DNS alone.
func TestStoreByDNS(t *testing.T) {
	store := newSite(t)
	store.config("")
	store.run(store.load("store"))
	s := newSite(t)
	s.write("c.yml", fmt.Sprintf(`scope: demo
name: r1
roles: [proxy]
etcd3: {srv: db.test, srv_suffix: blue}
restapi: {listen: "%[1]s", connect_address: "%[1]s"}
proxy: {listeners: [{name: primary, listen: "%[2]s", target: primary}]}
`, s.addr(portREST), s.addr(portPrimary)))
	o := s.options(s.load())
	o.Resolver = dnstest.Start(t, map[string][]string{"_etcd-client-blue._tcp.db.test.": {"localhost. " + strconv.Itoa(store.ports[portClient])}})
	s.runWith(o)
	eventually(t, "the store that DNS tells of", func() bool {
		code, _ := s.do("GET", "/history", "")
		return code == 200
	})
}
