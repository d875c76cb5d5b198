package etcdtest

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3election/v3electionpb" // registers the Election service
	_ "go.etcd.io/etcd/server/v3/etcdserver/api/v3lock/v3lockpb"         // registers the Lock service
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// AnswersOfEtcd compares a store's answers to the scripts in testdata/etcd with those that they hold, an etcd 3.5.33's. start founds a
// cluster of one member, new for each, and gives its host:port. With an etcd 3.5 in the PATH, which is started with flags, the record itself
// is checked first; then -rewrite makes it (and leaves the store unasked).
func AnswersOfEtcd(t *testing.T, start func(t *testing.T) string, flags ...string) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/etcd/*.txt")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	out, _ := exec.Command("etcd", "--version").Output() // without one there is nothing to check the record by
	isEtcd := strings.HasPrefix(string(out), "etcd Version: 3.5.")
	for _, script := range scripts {
		t.Run(strings.TrimSuffix(filepath.Base(script), ".txt"), func(t *testing.T) {
			if isEtcd {
				recorded(t, script, strings.TrimPrefix(Start(t, flags...), "http://"), true)
			}
			if f := flag.Lookup("rewrite"); !isEtcd || f == nil || f.Value.String() != "true" {
				recorded(t, script, start(t), false)
			}
		})
	}
}

// recorded compares the answers of a member to the calls of a script with those that a real etcd has given, which the script holds. addr is
// host:port of a fresh cluster of one member; isEtcd says that it is a real etcd's.
//
// A script is one of datadriven, with these commands:
//
//	call [as=USER]                 gRPC calls, one a line: Service.Method and the request as prototext
//	stream NAME [Service.Method] [recv=N]  sends the lines on a stream, which the first use opens, and reads N answers
//	http [recv=N] [anyindex]       a request: method and path, then headers until a blank line, then the body; N bounds the lines of the answer
//
// only=here and only=etcd mark an answer that is another on purpose: both are asked, one is compared. What differs from run to
// run is replaced: ids, terms, times, tokens; with anyindex the v2 indexes, too, which etcd's own records raise. {+N} in a path is the v2 index N after the script's start.
func recorded(t *testing.T, path, addr string, isEtcd bool) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a := &asker{
		ctx: ctx, conn: conn, http: &http.Client{Transport: transport}, url: "http://" + addr,
		tokens: map[string]string{}, streams: map[string]*openStream{},
	}
	a.readBase(t)
	skipped := "etcd"
	if isEtcd {
		skipped = "here"
	}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		got := a.run(t, d)
		if only := ""; d.HasArg("only") {
			d.ScanArgs(t, "only", &only)
			if only == skipped {
				return d.Expected
			}
		}
		return got
	})
}

// patience bounds a script; reaching it is a failure.
const patience = 3 * time.Minute

type asker struct {
	ctx     context.Context
	conn    *grpc.ClientConn
	http    *http.Client
	url     string
	base    uint64 // the v2 index at the start: an etcd's own records come before
	anyV2   bool   // the v2 indexes of this answer are not shown
	tokens  map[string]string
	streams map[string]*openStream
}

type openStream struct {
	grpc.ClientStream
	method protoreflect.MethodDescriptor
}

func (a *asker) readBase(t *testing.T) {
	t.Helper()
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, a.url+"/v2/keys/?quorum=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	a.base, _ = strconv.ParseUint(resp.Header.Get("X-Etcd-Index"), 10, 64) // 0 without the v2 API
}

func (a *asker) run(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	var user string
	var recv int
	if d.HasArg("as") {
		d.ScanArgs(t, "as", &user)
	}
	if d.HasArg("recv") {
		d.ScanArgs(t, "recv", &recv)
	}
	a.anyV2 = d.HasArg("anyindex")
	switch d.Cmd {
	case "call":
		var out strings.Builder
		for line := range strings.Lines(d.Input) {
			out.WriteString(a.call(t, user, strings.TrimSpace(line)) + "\n")
		}
		return out.String()
	case "stream":
		return a.stream(t, d, recv)
	case "http":
		return a.request(t, d.Input, recv)
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

// method finds a method by Service.Method.
func method(t *testing.T, name string) protoreflect.MethodDescriptor {
	t.Helper()
	service, short, _ := strings.Cut(name, ".")
	for _, pkg := range []string{"etcdserverpb.", "v3lockpb.", "v3electionpb."} {
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(pkg + service))
		if err != nil {
			continue
		}
		if m := d.(protoreflect.ServiceDescriptor).Methods().ByName(protoreflect.Name(short)); m != nil {
			return m
		}
	}
	t.Fatalf("there is no method %s", name)
	return nil
}

func path(m protoreflect.MethodDescriptor) string {
	return fmt.Sprintf("/%s/%s", m.Parent().FullName(), m.Name())
}

func message(t *testing.T, d protoreflect.MessageDescriptor) proto.Message {
	t.Helper()
	kind, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		t.Fatal(err)
	}
	return kind.New().Interface()
}

func parse(t *testing.T, d protoreflect.MessageDescriptor, text string) proto.Message {
	t.Helper()
	m := message(t, d)
	if err := prototext.Unmarshal([]byte(text), m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func (a *asker) call(t *testing.T, user, line string) string {
	t.Helper()
	name, text, _ := strings.Cut(line, " ")
	m := method(t, name)
	ctx := a.ctx
	if user != "" {
		token, known := a.tokens[user]
		if !known {
			token = user // a token that nobody has given
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "token", token)
	}
	req, resp := parse(t, m.Input(), text), message(t, m.Output())
	if err := a.conn.Invoke(ctx, path(m), req, resp); err != nil {
		return shownError(err)
	}
	if login, ok := resp.(*pb.AuthenticateResponse); ok {
		a.tokens[req.(*pb.AuthenticateRequest).Name], login.Token = login.Token, "TOKEN"
	}
	return shown(resp)
}

func shownError(err error) string {
	s := status.Convert(err)
	return fmt.Sprintf("%v: %s", s.Code(), s.Message())
}

func (a *asker) stream(t *testing.T, d *datadriven.TestData, recv int) string {
	t.Helper()
	name := d.CmdArgs[0].Key
	s := a.streams[name]
	if s == nil {
		m := method(t, d.CmdArgs[1].Key)
		desc := &grpc.StreamDesc{ClientStreams: m.IsStreamingClient(), ServerStreams: true}
		c, err := a.conn.NewStream(a.ctx, desc, path(m))
		if err != nil {
			return shownError(err)
		}
		s = &openStream{c, m}
		a.streams[name] = s
	}
	var out strings.Builder
	for line := range strings.Lines(d.Input) {
		if err := s.SendMsg(parse(t, s.method.Input(), line)); err != nil {
			fmt.Fprintln(&out, "send:", shownError(err))
		}
		if !s.method.IsStreamingClient() {
			_ = s.CloseSend() // what is wrong with it shows in what comes
		}
	}
	for range recv {
		resp := message(t, s.method.Output())
		if err := s.RecvMsg(resp); err != nil {
			fmt.Fprintln(&out, shownError(err))
			break
		}
		fmt.Fprintln(&out, shown(resp))
	}
	return out.String()
}

// request sends what a block says, and shows status, the headers that clients read, and the body.
func (a *asker) request(t *testing.T, input string, recv int) string {
	t.Helper()
	head, body, _ := strings.Cut(input, "\n\n")
	lines := strings.Split(head, "\n")
	verb, target, _ := strings.Cut(lines[0], " ")
	req, err := http.NewRequestWithContext(a.ctx, verb, a.url+a.withIndexes(target), strings.NewReader(a.withIndexes(body)))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" && verb != http.MethodGet {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	resp, err := a.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out strings.Builder
	fmt.Fprintln(&out, resp.StatusCode)
	for _, name := range []string{"Content-Type", "Allow", "Location", "X-Etcd-Index", "X-Raft-Index", "X-Raft-Term", "X-Etcd-Cluster-Id", "X-Content-Type-Options"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, a.shownHeader(name, v))
		}
	}
	out.WriteString(a.shownBody(t, resp.Body, recv))
	return out.String()
}

func (a *asker) shownBody(t *testing.T, body io.Reader, recv int) string {
	t.Helper()
	if recv == 0 {
		all, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		return a.scrubbed(strings.TrimSpace(string(all)))
	}
	var out strings.Builder
	lines := bufio.NewScanner(body)
	for range recv {
		if !lines.Scan() {
			fmt.Fprintf(&out, "end: %v\n", lines.Err())
			break
		}
		fmt.Fprintln(&out, a.scrubbed(lines.Text()))
	}
	return out.String()
}

// withIndexes puts this cluster's v2 indexes in the place of {+N}.
func (a *asker) withIndexes(s string) string {
	return relativeIndex.ReplaceAllStringFunc(s, func(m string) string {
		n, _ := strconv.ParseUint(m[2:len(m)-1], 10, 64) // the expression allows digits alone
		return url.QueryEscape(strconv.FormatUint(a.base+n, 10))
	})
}
