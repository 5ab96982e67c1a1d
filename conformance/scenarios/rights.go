package scenarios

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/wire"
)

// Rights are the scenarios for a broker with Kafka's authorizer that is open to what no rule is about. Without
// authentication everybody is ANONYMOUS; the rules tell people apart by their address: this machine's first is the
// administrator, its second the user whose rights are tried.
func Rights() []script.Scenario {
	return []script.Scenario{{Name: "rights", Run: rights}}
}

const (
	adminHost, userHost = "127.0.0.1", "127.0.0.2"
	somebody            = "User:ANONYMOUS"
)

// A right is one operation on all resources of a type that this scenario has, named as kafka-acls names it.
type right struct {
	t  kmsg.ACLResourceType
	op kmsg.ACLOperation
}

func (r right) String() string {
	return strings.ToLower(r.t.String()) + " " + strings.ToLower(r.op.String())
}

// singleRights are all operations that make sense for a type.
func singleRights() [][]right {
	out := [][]right{nil}
	for _, t := range []struct {
		t   kmsg.ACLResourceType
		ops []kmsg.ACLOperation
	}{
		{2, []kmsg.ACLOperation{3, 4, 5, 6, 7, 8, 10, 11}}, {3, []kmsg.ACLOperation{3, 6, 8, 10, 11}},
		{4, []kmsg.ACLOperation{5, 7, 8, 9, 10, 11, 12}}, {5, []kmsg.ACLOperation{4, 8}}, {7, []kmsg.ACLOperation{13, 14}},
	} {
		for _, op := range t.ops {
			out = append(out, []right{{t.t, op}})
		}
	}
	return out
}

// pairs are rights that some request needs together.
func pairs() [][]right {
	return [][]right{
		{{3, 3}, {2, 3}}, {{3, 3}, {2, 8}}, {{3, 8}, {2, 8}}, {{3, 6}, {2, 3}}, {{4, 5}, {2, 8}}, {{2, 5}, {2, 10}}, {{5, 4}, {2, 4}}, {{5, 4}, {4, 12}}, {{4, 8}, {3, 8}},
		{{5, 4}, {3, 3}}, {{5, 8}, {2, 8}}, {{5, 4}, {3, 3}, {2, 3}},
	}
}

func rights(s *script.Session) {
	var all []kmsg.CreateACLsRequestCreation
	for t := kmsg.ACLResourceType(2); t <= 7; t++ {
		name := "*"
		if t == 4 {
			name = "kafka-cluster"
		}
		all = append(all, creation(t, name, 3, somebody, adminHost, 2, 3))
	}
	s.Quiet(3, createACLs(all...))
	awaitACLs(s, len(all))
	topic := createTarget(s, "rights-t", 1)
	fill(s, topic, script.Batch{Base: s.Base, Records: script.Values("a")})
	commitFor(s, "rights-g", topic.name)
	producer := kmsg.NewPtrInitProducerIDRequest()
	s.Until("a producer id", func() bool {
		resp, ok := s.Quiet(4, producer).(*kmsg.InitProducerIDResponse)
		return ok && resp.ErrorCode == 0
	})
	prepareTransactions(s)
	for _, set := range append(singleRights(), pairs()...) {
		grant(s, set, len(all))
		tryAll(s, fmt.Sprint(set), topic)
		revoke(s, len(all))
	}
}

// awaitACLs waits until the broker decides by that many rules.
func awaitACLs(s *script.Session, want int) {
	s.Until("rules", func() bool {
		resp, ok := s.Quiet(3, allACLs()).(*kmsg.DescribeACLsResponse)
		n := 0
		if ok {
			for _, r := range resp.Resources {
				n += len(r.ACLs)
			}
		}
		return n == want
	})
}

func grant(s *script.Session, set []right, base int) {
	var cs []kmsg.CreateACLsRequestCreation
	for _, r := range set {
		name, pattern := "rights-", kmsg.ACLResourcePatternType(4)
		switch r.t {
		case 4:
			name, pattern = "kafka-cluster", 3
		case 7:
			name = "User:"
		}
		cs = append(cs, creation(r.t, name, pattern, somebody, userHost, r.op, 3))
	}
	if len(cs) > 0 {
		s.Quiet(3, createACLs(cs...))
	}
	awaitACLs(s, base+len(cs))
}

func revoke(s *script.Session, base int) {
	f := *allACLs()
	f.Host = ptr(userHost)
	s.Quiet(3, deleteACLs(f))
	awaitACLs(s, base)
}

// commitFor makes a group that has committed an offset; asking for its coordinator makes the topic for that.
func commitFor(s *script.Session, group, topic string) {
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{group}
	s.Until("the coordinator of "+group, func() bool {
		resp, ok := s.Quiet(4, find).(*kmsg.FindCoordinatorResponse)
		return ok && resp.Coordinators[0].ErrorCode == 0
	})
	s.Until("the group "+group, func() bool {
		resp, ok := s.Quiet(8, commitOf(group, topic)).(*kmsg.OffsetCommitResponse)
		return ok && resp.Topics[0].Partitions[0].ErrorCode == 0
	})
}

func commitOf(group, topic string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = group
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	return req
}

// tryAll asks every API as the user and notes the outcomes.
func tryAll(s *script.Session, label string, topic target) {
	user := s.ConnFrom(userHost)
	user.Timeout = 10 * time.Second
	for _, q := range questions(s, topic) {
		lo, hi := s.Versions(q.req.Key())
		if hi < 0 {
			continue
		}
		v := hi
		if q.version >= 0 {
			v = max(min(q.version, hi), lo)
		}
		q.req.SetVersion(v)
		resp, err := user.Request(q.req)
		name := fmt.Sprintf("%s: %s v%d", label, q.what, v)
		if err != nil {
			s.Note(name, "closed")
			_ = user.Close()
			user = s.ConnFrom(userHost)
			continue
		}
		s.Note(name, outcome(reflect.ValueOf(resp).Elem()))
		if q.undo != nil {
			q.undo()
		}
	}
	_ = user.Close()
}

// outcome writes down the error codes of an answer with the lengths of its lists, and the operations that it allows.
func outcome(v reflect.Value) string {
	var parts []string
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch {
		case strings.HasSuffix(name, "ErrorCode"):
			parts = append(parts, wire.Code(f.Int()).Name())
		case strings.HasSuffix(name, "AuthorizedOperations"):
			parts = append(parts, fmt.Sprintf("operations %b", f.Int()))
		case f.Kind() == reflect.Slice && f.Type().Elem().Kind() == reflect.Struct:
			if name == "Brokers" || name == "Nodes" || name == "Configs" {
				continue // who the nodes are is no right, and the settings differ from release to release
			}
			items := make([]string, f.Len())
			for j := range items {
				items[j] = outcome(f.Index(j))
			}
			slices.Sort(items)
			parts = append(parts, name+counted(items))
		}
	}
	return strings.Join(parts, " ")
}

// counted writes equal items once, with their number.
func counted(items []string) string {
	var out []string
	for i := 0; i < len(items); {
		n := 1
		for i+n < len(items) && items[i+n] == items[i] {
			n++
		}
		text := items[i]
		if n > 1 {
			text = strconv.Itoa(n) + "x " + text
		}
		out = append(out, text)
		i += n
	}
	return "{" + strings.Join(out, "; ") + "}"
}
