package etcd3_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"quorate/api/etcd3"
	"quorate/internal/solostore"
)

// selfSigned is a certificate for 127.0.0.1 and the pool that trusts it.
func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "store"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, priv.Public(), priv)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: priv}, pool
}

// One TLS port serves gRPC and, to clients that could speak either protocol, JSON over HTTP/1.1.
func TestTLS(t *testing.T) {
	f := start(t)
	cert, pool := selfSigned(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go f.server.Serve(l, &tls.Config{Certificates: []tls.Certificate{cert}})

	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"https://" + l.Addr().String()}, TLS: &tls.Config{RootCAs: pool}, Logger: zap.NewNop(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Put(f.ctx(), "k", "v"); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	for _, h2 := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: h2}
		resp, err := (&http.Client{Transport: tr}).Get("https://" + l.Addr().String() + "/version")
		if err != nil {
			t.Fatalf("http, h2 offered %v: %v", h2, err)
		}
		if resp.StatusCode != 200 || resp.ProtoMajor != 1 {
			t.Errorf("http, h2 offered %v: %s %s", h2, resp.Proto, resp.Status)
		}
		resp.Body.Close()
		tr.CloseIdleConnections()
	}
}

// Clients that know no ALPN are told apart by what they say first.
func TestTLSWithoutALPN(t *testing.T) {
	f := start(t, func(o *etcd3.Options) { o.Access = &etcd3.Access{Hosts: []string{"store.example"}} }) // any host's name with TLS
	cert, pool := selfSigned(t)
	l := listen(t)
	go f.server.Serve(l, &tls.Config{Certificates: []tls.Certificate{cert}})
	dial := func(context.Context, string) (net.Conn, error) {
		return tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: pool})
	}
	conn, err := grpc.NewClient("passthrough:///"+l.Addr().String(), grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := pb.NewKVClient(conn).Put(f.ctx(), &pb.PutRequest{Key: key("k")}); err != nil {
		t.Errorf("gRPC: %v", err)
	}
	plain, err := dial(f.ctx(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := io.WriteString(plain, "GET /version HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(plain); err != nil || !strings.Contains(string(answer), "etcdserver") {
		t.Errorf("HTTP: %q, %v", answer, err)
	}
}

// A connection that never says what it is does not keep the server from stopping, and neither does a reflection stream.
func TestStopWithIdleConnection(t *testing.T) {
	f := start(t)
	idle, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	services, err := reflectionpb.NewServerReflectionClient(f.conn).ServerReflectionInfo(f.ctx())
	if err != nil {
		t.Fatal(err)
	}
	if err := services.Send(&reflectionpb.ServerReflectionRequest{
		MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{},
	}); err != nil {
		t.Fatal(err)
	}
	list, err := services.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(list.GetListServicesResponse().GetService()); n < 10 {
		t.Errorf("%d services", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if err := f.server.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v, want it closed", err)
	}
}

// A short HTTP request is answered although it is shorter than the preface that gRPC connections start with.
func TestShortRequest(t *testing.T) {
	f := start(t)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "G"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "ET /version HTTP/1.0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || len(answer) == 0 {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestHealthService(t *testing.T) {
	f := start(t)
	resp, err := healthpb.NewHealthClient(f.conn).Check(f.ctx(), &healthpb.HealthCheckRequest{})
	if err != nil || resp.Status != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("%v, %v", resp, err)
	}
}

// The connection for this process itself needs no network and sees the same services.
func TestInProcess(t *testing.T) {
	f := start(t)
	resp, err := pb.NewMaintenanceClient(f.server.Conn()).Status(f.ctx(), &pb.StatusRequest{})
	if err != nil || resp.Version != etcd3.DefaultVersion || resp.Leader != solostore.MemberID {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestOptions(t *testing.T) {
	if _, err := etcd3.New(etcd3.Options{}); !errors.Is(err, etcd3.ErrNoStore) {
		t.Errorf("without a store: %v", err)
	}
}
