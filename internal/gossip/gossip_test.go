package gossip

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

// A probe that is under way when memberlist shuts down waits for its answer to the end of its interval, which grows to
// several seconds on a machine that answers late; it ends by itself.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"))
}

// patience bounds every wait; reaching it is a failure.
const patience = 15 * time.Second

func start(t *testing.T, name string, change func(*Options)) *Gossip {
	t.Helper()
	o := Options{
		Name: name, Listen: "127.0.0.1:0", Secret: "the same everywhere", Meta: Meta{Roles: []string{"store"}},
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.NewTextHandler(newTestWriter(t), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&o)
	}
	g, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// testWriter logs until the test ends: memberlist's goroutines outlive their Shutdown.
type testWriter struct {
	mu sync.Mutex
	t  *testing.T // nil when it has ended
}

func newTestWriter(t *testing.T) *testWriter {
	w := &testWriter{t: t}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.t = nil
	})
	return w
}

func (w *testWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.t != nil {
		w.t.Logf("%s", p)
	}
	return len(p), nil
}

func joining(others ...*Gossip) func(*Options) {
	return func(o *Options) {
		for _, g := range others {
			o.Join = append(o.Join, g.Addr())
		}
	}
}

// await watches g until its view is as wanted.
func await(t *testing.T, g *Gossip, what string, ok func(View) bool) View {
	t.Helper()
	views, stop := g.Watch()
	defer stop()
	limit := time.After(patience)
	for {
		select {
		case v := <-views:
			if ok(v) {
				return v
			}
		case <-limit:
			t.Fatalf("%s never saw: %s; it sees %+v", g.opts.Name, what, g.View())
		}
	}
}

func names(v View) string {
	var out []string
	for _, m := range v.Members {
		out = append(out, m.Name)
	}
	return strings.Join(out, " ")
}

func sees(want string) func(View) bool { return func(v View) bool { return names(v) == want } }

func TestThreeHostsMeet(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", joining(a))
	c := start(t, "c", joining(a))
	for _, g := range []*Gossip{a, b, c} {
		v := await(t, g, "all three", sees("a b c"))
		for _, m := range v.Members {
			if m.Self != (m.Name == g.opts.Name) || !m.Meta.HasRole("store") || m.Suspect {
				t.Errorf("%s sees %+v", g.opts.Name, m)
			}
		}
	}
	t.Run("meta spreads, newest wins", func(t *testing.T) {
		for i := range 5 {
			if err := b.SetMeta(Meta{Roles: []string{"proxy"}, Expect: i}); err != nil {
				t.Fatal(err)
			}
		}
		await(t, c, "b's last meta", func(v View) bool {
			m, ok := v.Find("b")
			return ok && m.Meta.HasRole("proxy") && m.Meta.Expect == 4
		})
	})
	t.Run("nudge", func(t *testing.T) {
		b.Nudge()
		for _, g := range []*Gossip{a, c} {
			select {
			case from := <-g.Nudges():
				if from != "b" {
					t.Errorf("%s was nudged by %q", g.opts.Name, from)
				}
			case <-time.After(patience):
				t.Errorf("%s was not nudged", g.opts.Name)
			}
		}
	})
	t.Run("leave", func(t *testing.T) {
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		await(t, a, "b gone", sees("a c"))
		await(t, c, "b gone", sees("a c"))
	})
	t.Run("silence", func(t *testing.T) {
		c.once.Do(func() { // without a word, as a lost host goes
			c.cancel()
			c.tasks.Wait()
			_ = c.list.Shutdown()
		})
		await(t, a, "c suspect", func(v View) bool { m, ok := v.Find("c"); return ok && m.Suspect })
		await(t, a, "c gone", sees("a"))
	})
}

func TestJoinWaitsForHostsThatStartLater(t *testing.T) {
	a := start(t, "a", nil)
	later := start(t, "later", nil)
	addr := later.Addr()
	if err := later.Stop(); err != nil {
		t.Fatal(err)
	}
	b := start(t, "b", func(o *Options) { o.Join = []string{addr} })
	start(t, "later", func(o *Options) { o.Listen, o.Join = addr, []string{a.Addr()} })
	await(t, b, "all three through the one that came last", sees("a b later"))
}

func TestSecondHostOfOneNameIsReportedAndIgnored(t *testing.T) {
	first := start(t, "a", func(o *Options) { o.Meta.RESTURL = "http://first" })
	b := start(t, "b", joining(first))
	await(t, b, "the first", sees("a b"))
	second := start(t, "a", joining(first))
	conflict := func(v View) bool { return len(v.Conflicts) == 1 }
	v := await(t, second, "a conflict", conflict)
	if c := v.Conflicts[0]; !c.Mine() || c.Other.Addr != first.Addr() || c.Other.Meta.RESTURL != "http://first" {
		t.Errorf("the second host sees %+v", c)
	}
	v = await(t, first, "a conflict", conflict)
	if c := v.Conflicts[0]; !c.Mine() || c.Other.Addr != second.Addr() {
		t.Errorf("the first host sees %+v", c)
	}
	if m, _ := b.View().Find("a"); m.Addr != first.Addr() {
		t.Errorf("a is at %s for others, want the first at %s", m.Addr, first.Addr())
	}
}

func TestAnotherSecretIsAnotherCluster(t *testing.T) {
	a := start(t, "a", nil)
	b := start(t, "b", nil)
	stranger := start(t, "stranger", func(o *Options) { o.Secret = "another" })
	if n, err := stranger.list.Join([]string{a.Addr()}); err == nil {
		t.Fatalf("joined %d hosts without their secret", n)
	}
	if _, err := b.list.Join([]string{a.Addr()}); err != nil {
		t.Fatalf("the same secret: %v", err)
	}
	if got := names(a.View()); got != "a b" {
		t.Fatalf("sees %q", got)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		o    Options
		want error
		text string
	}{
		"no secret off loopback":        {o: Options{Name: "a", Listen: "0.0.0.0:0"}, want: ErrNoSecret},
		"no secret, advertised outside": {o: Options{Name: "a", Listen: "127.0.0.1:0", Advertise: "192.0.2.1:7946"}, want: ErrNoSecret},
		"no name":                       {o: Options{Listen: "127.0.0.1:0"}, text: "name"},
		"listen on a name":              {o: Options{Name: "a", Listen: "localhost:0"}, text: "gossip.listen"},
		"advertise nonsense":            {o: Options{Name: "a", Listen: "127.0.0.1:0", Advertise: "x"}, text: "gossip.advertise"},
		"meta too large":                {o: Options{Name: "a", Listen: "127.0.0.1:0", Meta: Meta{Scope: strings.Repeat("x", 600)}}, text: "512"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.o)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Fatalf("error %v", err)
			}
		})
	}
	for name, o := range map[string]Options{
		"no secret on loopback": {Name: "a", Listen: "127.0.0.1:0"},
		"insecure by word":      {Name: "a", Listen: "0.0.0.0:0", Insecure: true},
		"default port":          {Name: "a", Listen: "::1"},
	} {
		if _, err := New(o); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMetaRoundTrip(t *testing.T) {
	full := Meta{
		Roles: []string{"store", "postgres", "proxy"}, Scope: "pg-ha-cluster", PeerAddr: "172.31.20.153:2380", ClientURL: "http://172.31.20.153:2379",
		RESTURL: "http://172.31.20.153:8008", PGAddr: "172.31.20.153:5432", MemberID: 1<<64 - 1, StoreID: 1<<64 - 1, Founded: true, Expect: 3,
		Zone: "eu-central-1a", Version: "1.0.0", Started: 1764000000000,
	}
	p, err := full.encode()
	if err != nil {
		t.Fatalf("the meta of a usual host does not fit: %v", err)
	}
	if got := decodeMeta(p); !slices.Equal(got.Roles, full.Roles) || got.StoreID != full.StoreID || got.Started != full.Started {
		t.Fatalf("%+v", got)
	}
	if got := decodeMeta([]byte("\xff not json")); got.Scope != "" || got.Founded {
		t.Fatalf("nonsense reads as %+v", got)
	}
}
