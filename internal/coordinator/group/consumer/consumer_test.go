package consumer

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/wire"
)

// hashTopics are topics whose hashes Apache Kafka 4.3.1 was asked for.
type hashTopics struct {
	fakeTopics
	racks map[string][][]string
}

func (h *hashTopics) Hash(name string) uint64 {
	return TopicHash(h.byName[name], func(p int32) []string { return h.racks[name][p] })
}

// TestHash has the hashes that Apache Kafka 4.3.1 computes for the same topics.
func TestHash(t *testing.T) {
	id := func(high, low uint64) (id wire.TopicID) {
		binary.BigEndian.PutUint64(id[:8], high)
		binary.BigEndian.PutUint64(id[8:], low)
		return id
	}
	h := &hashTopics{fakeTopics{byName: map[string]Topic{
		"foo":   {id(0x0102030405060708, 0x90a0b0c0d0e0f000), "foo", 1},
		"bär-𝄞": {id(1, 2), "bär-𝄞", 3},
		"many":  {id(^uint64(0), ^uint64(1)), "many", 40},
	}}, map[string][][]string{"foo": {nil}, "bär-𝄞": {{"rack2", "rack1"}, {"r𝄞"}, nil}}}
	for range 40 {
		h.racks["many"] = append(h.racks["many"], []string{"eu-central-1a", "eu-central-1b"})
	}
	for name, want := range map[string]uint64{"foo": 0x7131de8446e4c23c, "bär-𝄞": 0x3943a677c9bf76ae, "many": 0x8d2c7aa32581c1d6} {
		if got := h.Hash(name); got != want {
			t.Errorf("%s: %x, Apache Kafka has %x", name, got, want)
		}
	}
	wanted := map[string]subscription{"foo": {}, "many": {}, "bär-𝄞": {}, "not there": {}}
	if got := metadataHash(wanted, h); got != 0xeb26564f97d68a72 {
		t.Errorf("all: %x", got)
	}
	if got := metadataHash(map[string]subscription{"not there": {}}, h); got != 0 {
		t.Errorf("none: %x", got)
	}
}

func p[T any](v T) *T { return &v }

// joining is a good first heartbeat, changed.
func joining(change func(*Heartbeat)) *Heartbeat {
	h := &Heartbeat{MemberID: "m", RebalanceMs: 1000, Topics: []string{}, Owned: &assign.Partitions{}}
	change(h)
	return h
}

// TestValidate has the answers of Apache Kafka 4.3.1 to heartbeats that are wrong by themselves.
func TestValidate(t *testing.T) {
	for _, c := range []struct {
		group string
		h     *Heartbeat
		v1    bool
		want  string
	}{
		{"g", joining(func(*Heartbeat) {}), true, ""},
		{"g", joining(func(h *Heartbeat) { h.MemberID = "" }), false, ""},
		{"g", joining(func(h *Heartbeat) { h.MemberID = "" }), true, "INVALID_REQUEST MemberId can't be empty."},
		{"g", joining(func(h *Heartbeat) { h.MemberID, h.Epoch = " ", 1 }), false, "INVALID_REQUEST MemberId can't be empty."},
		{"g", joining(func(h *Heartbeat) { h.MemberID, h.Epoch = "", -1 }), false, "INVALID_REQUEST MemberId can't be empty."},
		{"", joining(func(*Heartbeat) {}), true, "INVALID_REQUEST GroupId can't be empty."},
		{"g", joining(func(h *Heartbeat) { h.InstanceID = p("") }), true, "INVALID_REQUEST InstanceId can't be empty."},
		{"g", joining(func(h *Heartbeat) { h.RackID = p("") }), true, "INVALID_REQUEST RackId can't be empty."},
		{"g", joining(func(h *Heartbeat) { h.RebalanceMs = -1 }), true, "INVALID_REQUEST RebalanceTimeoutMs must be provided in first request."},
		{"g", joining(func(h *Heartbeat) { h.Owned = nil }), true, "INVALID_REQUEST TopicPartitions must be empty when (re-)joining."},
		{"g", joining(func(h *Heartbeat) { h.Owned = &assign.Partitions{{}: {1}} }), true, "INVALID_REQUEST TopicPartitions must be empty when (re-)joining."},
		{"g", joining(func(h *Heartbeat) { h.Topics = nil }), true, "INVALID_REQUEST Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."},
		{"g", joining(func(h *Heartbeat) { h.Topics, h.Regex = nil, p("a.*") }), true, ""},
		{"g", joining(func(h *Heartbeat) { h.Epoch = -2 }), true, "INVALID_REQUEST InstanceId can't be null."},
		{"g", joining(func(h *Heartbeat) { h.Epoch = -3 }), true, "INVALID_REQUEST MemberEpoch is invalid."},
		{"g", joining(func(h *Heartbeat) { h.Assignor = p("x") }), true, "UNSUPPORTED_ASSIGNOR ServerAssignor x is not supported. Supported assignors: uniform, range."},
	} {
		err := c.h.Validate(c.group, c.v1, []string{"uniform", "range"})
		if got := said(err); got != c.want {
			t.Errorf("%+v: got %q, want %q", c.h, got, c.want)
		}
	}
}

func said(err error) string {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Code.Name() + " " + r.Message
	}
	return ""
}

// scene is a group with one topic of four partitions.
type oneTopic struct {
	t   *testing.T
	g   *Group
	env *Env
}

func newOneTopic(t *testing.T) *oneTopic {
	topics := &fakeTopics{byName: map[string]Topic{}}
	topics.create("t", 4)
	return &oneTopic{t, New("g"), &Env{NowMs: 1e6, Topics: topics, MaxSize: 3, RegexRefreshMs: 600_000, Assignors: []string{"uniform"}}}
}

func (o *oneTopic) ok(h *Heartbeat) *Answer {
	o.t.Helper()
	a, err := o.g.Heartbeat(o.env, h)
	if err != nil {
		o.t.Fatal(err)
	}
	for _, r := range a.Records {
		o.g.Apply(r)
	}
	return a
}

func (o *oneTopic) refused(h *Heartbeat, code wire.Code, part string) {
	o.t.Helper()
	before := dump(o.g)
	_, err := o.g.Heartbeat(o.env, h)
	if wire.CodeOf(err) != code || !strings.Contains(err.Error(), part) {
		o.t.Fatalf("got %v, want %s: … %s", said(err), code.Name(), part)
	}
	if after := dump(o.g); before != after {
		o.t.Fatalf("a refused heartbeat has changed the group from\n%s\nto\n%s", before, after)
	}
}

func beat(id string, epoch int32, owned *assign.Partitions) *Heartbeat {
	return &Heartbeat{MemberID: id, Epoch: epoch, RebalanceMs: -1, Owned: owned}
}

// TestFencing: only a member's epoch is let through, and the one before if it has nothing that it should not have.
func TestFencing(t *testing.T) {
	o := newOneTopic(t)
	topic, _ := o.env.Topics.Topic("t")
	a := o.ok(joining(func(h *Heartbeat) { h.MemberID, h.Topics = "a", []string{"t"} }))
	if a.Epoch != 2 || a.Assignment.Len() != 4 {
		t.Fatalf("%+v", a)
	}
	o.ok(joining(func(h *Heartbeat) { h.MemberID, h.Topics = "b", []string{"t"} }))
	all, half := assign.Partitions{topic.ID: {0, 1, 2, 3}}, assign.Partitions{topic.ID: {0, 1}}
	if a = o.ok(beat("a", 2, &all)); a.Epoch != 2 || !a.Assignment.Equal(half) || a.Revocation != RevocationBegins {
		t.Fatalf("%+v", a)
	}
	if a = o.ok(beat("a", 2, &half)); a.Epoch != 3 || a.Revocation != RevocationEnds {
		t.Fatalf("%+v", a)
	}
	o.ok(beat("a", 2, &half)) // the answer was lost
	o.refused(beat("a", 2, &all), wire.FencedMemberEpoch, "has a smaller member epoch (2) than the one known by the group coordinator (3)")
	o.refused(beat("a", 2, nil), wire.FencedMemberEpoch, "has a smaller member epoch (2)")
	o.refused(beat("a", 1, &half), wire.FencedMemberEpoch, "has a smaller member epoch (1)")
	o.refused(beat("a", 4, &half), wire.FencedMemberEpoch, "has a greater member epoch (4) than the one known by the group coordinator (3)")
	o.refused(beat("c", 1, &half), wire.UnknownMemberId, "Member c is not a member of group g.")
}

// TestStaticMembers: an instance id is one member's; its place is kept while it is away.
func TestStaticMembers(t *testing.T) {
	o := newOneTopic(t)
	as := func(id string) *Heartbeat {
		return joining(func(h *Heartbeat) { h.MemberID, h.InstanceID, h.Topics = id, p("i"), []string{"t"} })
	}
	o.ok(as("a"))
	o.refused(as("b"), wire.UnreleasedInstanceId, "cannot join the group because the instance id is owned by a member.")
	h := beat("b", 2, nil)
	h.InstanceID = p("i")
	o.refused(h, wire.FencedInstanceId, "Static member b with instance id i was fenced by member a.")
	h.InstanceID = p("j")
	o.refused(h, wire.UnknownMemberId, "Instance id j is unknown.")
	records, gone, err := o.g.Leave(Leaving{"a", StaticLeaveEpoch, p("i")})
	if err != nil || gone != nil {
		t.Fatal(gone, err)
	}
	for _, r := range records {
		o.g.Apply(r)
	}
	if epoch := o.g.Epoch(); epoch != 2 || o.g.Member("a").Epoch != StaticLeaveEpoch || len(o.g.holders) != 4 {
		t.Fatalf("%s", dump(o.g))
	}
	if a := o.ok(as("b")); a.Epoch != 2 || a.Assignment.Len() != 4 || o.g.Epoch() != 2 || o.g.Member("a") != nil {
		t.Fatalf("%+v\n%s", a, dump(o.g))
	}
}

// TestLimits: a full group takes nobody new, and an expression that is none is refused.
func TestLimits(t *testing.T) {
	o := newOneTopic(t)
	for _, id := range []string{"a", "b", "c"} {
		o.ok(joining(func(h *Heartbeat) { h.MemberID = id }))
	}
	o.refused(joining(func(h *Heartbeat) { h.MemberID = "d" }), wire.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of 3 members.")
	o.ok(joining(func(h *Heartbeat) { h.MemberID = "a" }))
	o.refused(joining(func(h *Heartbeat) { h.MemberID, h.Topics, h.Regex = "a", nil, p("[") }), wire.InvalidRegularExpression,
		"SubscribedTopicRegex `[` is not a valid regular expression: missing closing ].")
}

// TestAssignmentInterval: a target assignment is not replaced before its time.
func TestAssignmentInterval(t *testing.T) {
	o := newOneTopic(t)
	o.env.AssignmentIntervalMs = 1000
	join := func(id string) *Answer {
		return o.ok(joining(func(h *Heartbeat) { h.MemberID, h.Topics = id, []string{"t"} }))
	}
	join("a")
	if a := join("b"); a.Epoch != 2 || a.Assignment.Len() != 0 || o.g.State() != StateAssigning {
		t.Fatalf("%+v\n%s", a, dump(o.g))
	}
	o.env.NowMs += 1000
	o.ok(beat("a", 2, nil))
	if o.g.TargetEpoch() != 3 || o.g.Target("b").Len() != 2 {
		t.Fatalf("%s", dump(o.g))
	}
}

// TestNewerStates: a member in a state that a newer coordinator knows has to begin anew.
func TestNewerStates(t *testing.T) {
	o := newOneTopic(t)
	o.ok(joining(func(h *Heartbeat) { h.MemberID, h.Topics = "a", []string{"t"} }))
	m := o.g.Member("a").clone()
	m.State = 17
	r := &recorder{group: "g"}
	r.current(m)
	o.g.Apply(r.records[0])
	o.refused(beat("a", 2, nil), wire.FencedMemberEpoch, "is in a unknown state")
	if a := o.ok(beat("a", 2, &assign.Partitions{})); a.Epoch != 2 || o.g.Member("a").State != Stable {
		t.Fatalf("%+v\n%s", a, dump(o.g))
	}
}

// TestExpressionThatMatchesNothing: a member that changes to one does not keep what it had, whoever else wants the same topics.
func TestExpressionThatMatchesNothing(t *testing.T) {
	o := newOneTopic(t)
	join := func(id, regex string) {
		o.ok(joining(func(h *Heartbeat) { h.MemberID, h.Topics, h.Regex = id, nil, &regex }))
	}
	found := func(regex string, topics ...string) {
		for _, r := range o.g.Resolved(o.env, map[string]Resolved{regex: {Topics: topics, TimestampMs: o.env.NowMs}}) {
			o.g.Apply(r)
		}
	}
	join("a", "t.*")
	join("b", "t.*")
	found("t.*", "t")
	o.ok(beat("a", 1, &assign.Partitions{}))
	o.ok(beat("b", 1, &assign.Partitions{}))
	if o.g.Target("a").Len() != 2 || o.g.Target("b").Len() != 2 {
		t.Fatal(dump(o.g))
	}
	h := beat("a", 2, &assign.Partitions{})
	h.Regex = p("x")
	o.ok(h)
	found("x")
	o.ok(beat("b", 2, nil))
	if o.g.Target("b").Len() != 4 {
		t.Fatalf("nobody is meant to have what a had\n%s", dump(o.g))
	}
}

// TestRegexSize: what one expression may cost is bounded, whatever it looks like.
func TestRegexSize(t *testing.T) {
	for regex, ok := range map[string]bool{
		"orders-(eu|us)-.*": true, "[a-z]{1,249}": true, strings.Repeat("x", 249): true, "(?i)été.*": true, "a|b|": true,
		strings.Repeat("a{1000}", 100): false, strings.Repeat("(a|b{999})", 500): false, strings.Repeat("x", 60_000): false, "(((a{10}){10}){10}){10}": false,
	} {
		if _, err := Compile(regex); (err == nil) != ok || err != nil && wire.CodeOf(err) != wire.InvalidRegularExpression {
			t.Errorf("%.40s: %v", regex, err)
		}
	}
}
