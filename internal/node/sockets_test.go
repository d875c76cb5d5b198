package node

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// inheritedFile is a listening socket as it comes from another process.
func inheritedFile(t *testing.T, network, address string) (*os.File, net.Addr) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false)
	}
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return f, l.Addr()
}

// Whoever listens on the address of an inherited socket gets it, with the clients that wait there already; every other address is opened.
func TestInheritedSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	tcp, addr := inheritedFile(t, "tcp", "127.0.0.1:0")
	unix, _ := inheritedFile(t, "unix", path)
	s := NewSockets([]*os.File{tcp, unix})
	early, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if _, err := early.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	port := addr.(*net.TCPAddr).Port
	if !s.holds("127.0.0.1", port) || s.holds("127.0.0.2", port) || s.holds("*", port) {
		t.Error("a socket is held under exactly its own address")
	}
	l, err := s.Listen(t.Context(), "tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if b, err := io.ReadAll(io.LimitReader(c, 1)); err != nil || string(b) != "x" {
		t.Errorf("the client that waited: %q, %v", b, err)
	}
	if s.holds("127.0.0.1", port) {
		t.Error("a socket is given away once")
	}
	u, err := s.Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	other, err := s.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if other.Addr().String() == addr.String() {
		t.Error("another address has the inherited socket")
	}
}

func TestSameAddress(t *testing.T) {
	tcp := func(ip string, port int) net.Addr { return &net.TCPAddr{IP: net.ParseIP(ip), Port: port} }
	for _, row := range []struct {
		bound   net.Addr
		network string
		address string
		want    bool
	}{
		{tcp("::", 5000), "tcp", ":5000", true},
		{tcp("0.0.0.0", 5000), "tcp", ":5000", true},
		{tcp("::", 5000), "tcp", "0.0.0.0:5000", true},
		{tcp("::", 5000), "tcp", ":5001", false},
		{tcp("10.0.0.1", 5000), "tcp", ":5000", false},
		{tcp("10.0.0.1", 5000), "tcp", "10.0.0.1:5000", true},
		{tcp("::1", 5000), "tcp", "[::1]:5000", true},
		{tcp("::1", 5000), "unix", "/x", false},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, "unix", "/x", true},
		{&net.UnixAddr{Name: "/x", Net: "unix"}, "unix", "/y", false},
	} {
		if got := sameAddress(row.bound, row.network, row.address); got != row.want {
			t.Errorf("%s and %s %s: %s", row.bound, row.network, row.address, strconv.FormatBool(got))
		}
	}
}

// What is no listening socket is refused when somebody wants to listen, not passed over.
func TestInheritedNoSocket(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := NewSockets([]*os.File{r}).Listen(t.Context(), "tcp", "127.0.0.1:0"); err == nil {
		t.Error("a pipe passed for a socket")
	}
}
