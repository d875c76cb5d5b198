package rest

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// BenchmarkPrimary is the cost of a health check without the network.
func BenchmarkPrimary(b *testing.B) {
	m := newMemory()
	m.publish(primaryStatus())
	s, err := New(Options{Backend: m, Keys: m.keys})
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/primary", nil)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(discard{http.Header{}}, r)
	}
}
