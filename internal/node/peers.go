package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"quorate/api/client"
	"quorate/api/rest"
	"quorate/internal/boottime"
	"quorate/internal/config"
	"quorate/pgctl/ha"
	"quorate/pgctl/ha/candidate"
	"quorate/pgctl/postgres"
	"quorate/raftstore/dcs"
)

// peerClient asks the other members' APIs.
type peerClient struct {
	name   string
	key    []byte
	access atomic.Pointer[peerAccess]
}

// peerAccess is how the other members let this one in, and what it believes them by.
type peerAccess struct {
	http *http.Client
	auth config.BasicAuth
}

func (p *peerClient) do(req *http.Request) (*http.Response, error) {
	return p.access.Load().http.Do(req)
}

// peerTimeout bounds one question. A member that is there answers in milliseconds; one that is not must not delay a failover.
const peerTimeout = 700 * time.Millisecond

func newPeerClient(c *config.Config, key []byte) (*peerClient, error) {
	p := &peerClient{name: c.Name, key: key}
	return p, p.reload(c)
}

// reload takes the password and the certificates of a configuration, whose files may have other contents now.
func (p *peerClient) reload(c *config.Config) error {
	auth := c.CTL.Authentication
	if auth.Username == "" {
		auth = c.REST.Authentication
	}
	trust, err := peerTLS(c).Config()
	if err != nil {
		return fmt.Errorf("ctl: how the other members are asked: %w", err)
	}
	t := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute, TLSClientConfig: trust}
	if was := p.access.Swap(&peerAccess{http: &http.Client{Transport: t}, auth: auth}); was != nil {
		was.http.CloseIdleConnections()
	}
	return nil
}

// peerTLS is how the members' certificates are checked, as Patroni does it: by ctl.cacert or restapi.cafile, with the client
// certificate of ctl.
func peerTLS(c *config.Config) client.TLSFiles {
	return client.TLSFiles{
		CACert: firstSet(c.CTL.CACert, c.REST.TLS.CAFile), CertFile: c.CTL.CertFile, KeyFile: c.CTL.KeyFile, KeyPassword: c.CTL.KeyFilePassword,
		Insecure: c.CTL.Insecure,
	}
}

// base is the API's root, from what a member calls its api_url.
func base(apiURL string) string {
	return strings.TrimSuffix(strings.TrimSuffix(apiURL, "/"), "/patroni")
}

// post sends a JSON object and reads the answer.
func (p *peerClient) post(ctx context.Context, api, path string, body, answer any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	a, err := p.send(ctx, api, path, b)
	switch {
	case err != nil:
		return err
	case a.code == http.StatusNotImplemented:
		return fmt.Errorf("%s%s: %w", base(api), path, errNoPledges)
	case a.code != http.StatusOK:
		return fmt.Errorf("%s%s: %d %s: %s", base(api), path, a.code, http.StatusText(a.code), client.Reply{Body: a.body}.Text())
	}
	return json.Unmarshal(a.body, answer)
}

// peerAnswer is what a member answers.
type peerAnswer struct {
	code   int
	header http.Header
	body   []byte
}

// send posts a body, signed for other nodes of ours.
func (p *peerClient) send(ctx context.Context, api, path string, b []byte) (a peerAnswer, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base(api)+path, bytes.NewReader(b))
	if err != nil {
		return a, err
	}
	req.Header.Set("Content-Type", "application/json")
	if len(p.key) > 0 {
		req.Header.Set(rest.PeerHeader, rest.SignPeer(p.key, http.MethodPost, path, b))
	} else if auth := p.access.Load().auth; auth.Username != "" {
		req.SetBasicAuth(auth.Username, auth.Password)
	}
	resp, err := p.do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	a.code, a.header = resp.StatusCode, resp.Header
	a.body, err = io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return a, err
}

// ask asks all members of an AskPeers at once and waits for those that are worth it.
func (a *agent) ask(act ha.AskPeers) {
	race := ha.Race{Target: act.Target, AskedAt: boottime.Now(), Answers: map[string]candidate.Member{}}
	ctx, cancel := context.WithTimeout(a.ctx, peerTimeout)
	defer cancel()
	var mu sync.Mutex
	var waited, rest sync.WaitGroup
	for name, api := range act.From {
		wg := &rest
		if slices.Contains(act.Wait, name) {
			wg = &waited
		}
		wg.Go(func() {
			var ans candidate.Member
			if act.Target.IsZero() {
				ans = a.peers.position(ctx, name, api)
			} else {
				ans = a.askOne(ctx, name, api, act.Target)
			}
			mu.Lock()
			race.Answers[name] = ans
			mu.Unlock()
		})
	}
	waited.Wait()
	mu.Lock()
	out := race
	out.Answers = make(map[string]candidate.Member, len(act.From))
	for name := range act.From {
		ans, ok := race.Answers[name]
		if !ok {
			ans = candidate.Member{Name: name}
		}
		out.Answers[name] = ans
	}
	mu.Unlock()
	out.Done = true
	a.loop.post(raceEvent{out})
	rest.Wait()
}

func (a *agent) askOne(ctx context.Context, name, api string, t dcs.Term) candidate.Member {
	var r rest.PledgeAnswer
	if err := a.peers.post(ctx, api, "/v1/pledge", rest.PledgeRequest{Term: t, From: a.cfg.Name}, &r); err != nil {
		if errors.Is(err, errNoPledges) {
			return a.peers.position(ctx, name, api)
		}
		if a.unpledged.news(name+": "+err.Error(), boottime.Now()) { // a race asks several times a second
			a.log.Info("no pledge", "member", name, "error", err)
		}
		return candidate.Member{Name: name}
	}
	out := candidate.Member{
		Name: name, Reachable: true, CanPledge: true, SystemID: r.SystemID, Running: r.Running, Primary: r.Primary, Timeline: postgres.Timeline(r.Timeline),
		FlushLSN: postgres.LSN(r.FlushLSN), ReplayLSN: postgres.LSN(r.ReplayLSN), Pledged: r.Pledged, NoFailover: r.NoFailover,
		Priority: r.FailoverPriority, WatchdogFailed: r.WatchdogFailed,
	}
	for _, h := range r.History {
		out.Switches = append(out.Switches, postgres.Switch{Timeline: postgres.Timeline(h.Timeline), End: postgres.LSN(h.LSN), Reason: h.Reason})
	}
	return out
}

// errNoPledges says that a member's API knows no pledges: it is Patroni's.
var errNoPledges = errors.New("the member cannot pledge")

// position asks a member where it stands, without any pledge. Of one that is run by Patroni this is all that can be asked, as in Patroni's
// own race.
func (p *peerClient) position(ctx context.Context, name, api string) candidate.Member {
	out := candidate.Member{Name: name}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base(api)+"/patroni", nil)
	if err != nil {
		return out
	}
	resp, err := p.do(req)
	if err != nil {
		return out
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return out
	}
	return memberStatus(name, b)
}

// memberStatus reads a member's GET /patroni.
func memberStatus(name string, body []byte) candidate.Member {
	var st struct {
		State    string `json:"state"`
		Role     string `json:"role"`
		SystemID string `json:"database_system_identifier"`
		Timeline uint32 `json:"timeline"`
		XLog     struct {
			Location uint64 `json:"location"`
			Received uint64 `json:"received_location"`
			Replayed uint64 `json:"replayed_location"`
		} `json:"xlog"`
		Tags           map[string]any `json:"tags"`
		WatchdogFailed bool           `json:"watchdog_failed"`
	}
	if json.Unmarshal(body, &st) != nil {
		return candidate.Member{Name: name}
	}
	m := candidate.Member{
		Name: name, Reachable: true, Running: st.State == "running", SystemID: st.SystemID, Timeline: postgres.Timeline(st.Timeline),
		Primary:  st.State == "running" && (st.Role == "primary" || st.Role == "master" || st.Role == "promoted"),
		FlushLSN: postgres.LSN(max(st.XLog.Location, st.XLog.Received)), ReplayLSN: postgres.LSN(st.XLog.Replayed),
		NoFailover: ha.MayNotLead(st.Tags), Priority: int(ha.Priority(st.Tags)), WatchdogFailed: st.WatchdogFailed,
	}
	return m
}

// probeAll asks the members, all at once and bounded in time.
func (p *peerClient) probeAll(ctx context.Context, members []dcs.Member) []rest.Candidate {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	out := make([]rest.Candidate, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { out[i] = p.probe(ctx, m) })
	}
	wg.Wait()
	return out
}

// probe asks a member for its status, without asking it for anything.
func (p *peerClient) probe(ctx context.Context, m dcs.Member) rest.Candidate {
	out := rest.Candidate{Name: m.Name}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base(m.APIURL)+"/patroni", nil)
	if err != nil {
		return out
	}
	resp, err := p.do(req)
	if err != nil {
		return out
	}
	defer resp.Body.Close()
	var st struct {
		Tags           map[string]any `json:"tags"`
		WatchdogFailed bool           `json:"watchdog_failed"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&st) != nil {
		return out
	}
	out.Reachable, out.WatchdogFailed = true, st.WatchdogFailed
	out.NoFailover = ha.MayNotLead(st.Tags)
	return out
}

// alive says whether somebody answers for a member.
func (p *peerClient) alive(ctx context.Context, api string) bool {
	u, err := url.Parse(base(api) + "/liveness")
	if err != nil {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return false
	}
	resp, err := p.do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}
