package etcdtest

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

var (
	relativeIndex = regexp.MustCompile(`\{\+\d+\}`)
	blanks        = regexp.MustCompile(` {2,}`)
	drawnID       = regexp.MustCompile(`[0-9a-f]{12,16}`)
	drawnJSON     = regexp.MustCompile(`"(cluster_id|member_id|raft_term|expiration|token|ID|lease)":"([^"]*)"`)
	v2Index       = regexp.MustCompile(`"(modifiedIndex|createdIndex|index)":(\d+)`)
	comparedIndex = regexp.MustCompile(`\[(\d+) != (\d+)\]`)
	orderedKey    = regexp.MustCompile(`/0{12}\d{8}"`)
	localURL      = regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
)

// shown is an answer without what differs from run to run.
func shown(m proto.Message) string {
	scrub(m.ProtoReflect())
	text := blanks.ReplaceAllString(prototext.MarshalOptions{}.Format(m), " ")
	return "{" + drawnID.ReplaceAllString(text, "DRAWN") + "}"
}

// longestGiven is more than any id or count that the scripts name: what is above was drawn by the member.
const longestGiven = 1 << 32

func scrub(m protoreflect.Message) {
	switch v := m.Interface().(type) {
	case *pb.ResponseHeader:
		v.ClusterId, v.MemberId, v.RaftTerm = 0, 0, 0
	case *pb.Member:
		v.Name, v.PeerURLs, v.ClientURLs = "NAME", v.PeerURLs[:min(len(v.PeerURLs), 1)], nil
		if len(v.PeerURLs) > 0 && localURL.MatchString(v.PeerURLs[0]) {
			v.PeerURLs[0] = "PEER"
		}
	case *pb.StatusResponse:
		kept := &pb.StatusResponse{Header: v.Header, Errors: v.Errors, IsLearner: v.IsLearner}
		proto.Reset(v)
		proto.Merge(v, kept)
	case *pb.LeaseTimeToLiveResponse:
		if v.TTL > 0 {
			v.TTL = v.GrantedTTL
		}
		slices.SortFunc(v.Keys, bytes.Compare) // etcd's come in any order
	case *pb.MemberListResponse:
		v.Header.Revision = 0 // etcd has none there
		slices.SortFunc(v.Members, votersFirst)
	case *pb.MemberAddResponse:
		v.Header.Revision = 0
		slices.SortFunc(v.Members, votersFirst)
	case *pb.HashResponse:
		v.Hash = 0
	case *pb.HashKVResponse:
		v.HashRevision = 0 // since 3.6
	}
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.Message() != nil && f.IsList():
			for i := range v.List().Len() {
				scrub(v.List().Get(i).Message())
			}
		case f.Message() != nil:
			scrub(v.Message())
		case f.Kind() == protoreflect.Int64Kind && v.Int() > longestGiven:
			m.Set(f, protoreflect.ValueOfInt64(longestGiven))
		case f.Kind() == protoreflect.Uint64Kind && !f.IsList() && v.Uint() > longestGiven:
			m.Set(f, protoreflect.ValueOfUint64(longestGiven))
		}
		return true
	})
}

// votersFirst is an order that does not follow from drawn ids.
func votersFirst(a, b *pb.Member) int {
	switch {
	case a.IsLearner == b.IsLearner:
		return 0
	case a.IsLearner:
		return 1
	}
	return -1
}

func (a *asker) shownHeader(name, value string) string {
	switch name {
	case "X-Etcd-Index":
		return a.relative(value)
	case "X-Raft-Index", "X-Raft-Term", "X-Etcd-Cluster-Id":
		return "N"
	}
	return value
}

// relative is a v2 index counted from the script's start.
func (a *asker) relative(index string) string {
	n, err := strconv.ParseUint(index, 10, 64)
	if err != nil || n == 0 || n < a.base { // 0: of no state at all
		return index
	}
	if a.anyV2 {
		return "N"
	}
	return "+" + strconv.FormatUint(n-a.base, 10)
}

func (a *asker) scrubbed(body string) string {
	body = drawnJSON.ReplaceAllStringFunc(body, func(m string) string {
		part := drawnJSON.FindStringSubmatch(m)
		if n, err := strconv.ParseInt(part[2], 10, 64); err == nil && n < longestGiven && (part[1] == "ID" || part[1] == "lease") {
			return m
		}
		return `"` + part[1] + `":"X"`
	})
	body = v2Index.ReplaceAllStringFunc(body, func(m string) string {
		part := v2Index.FindStringSubmatch(m)
		return `"` + part[1] + `":` + a.relative(part[2])
	})
	body = comparedIndex.ReplaceAllStringFunc(body, func(m string) string {
		part := comparedIndex.FindStringSubmatch(m)
		return "[" + a.relative(part[1]) + " != " + a.relative(part[2]) + "]"
	})
	body = orderedKey.ReplaceAllStringFunc(body, func(m string) string {
		return "/" + a.relative(strings.Trim(m, `/"`)) + `"`
	})
	return localURL.ReplaceAllString(body, "URL")
}
