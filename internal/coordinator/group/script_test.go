package group

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordrecord"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// args reads the arguments of a script's command.
type args struct {
	t *testing.T
	d *datadriven.TestData
}

func (a args) has(key string) bool { return a.d.HasArg(key) }

func (a args) str(key, def string) string {
	for _, x := range a.d.CmdArgs {
		if x.Key == key && len(x.Vals) > 0 {
			return x.Vals[0]
		}
	}
	return def
}

func (a args) list(key string) []string {
	for _, x := range a.d.CmdArgs {
		if x.Key == key {
			return x.Vals
		}
	}
	return nil
}

func (a args) num(key string, def int) int {
	n, err := strconv.Atoi(a.str(key, strconv.Itoa(def)))
	if err != nil {
		a.d.Fatalf(a.t, "%v", err)
	}
	return n
}

func (a args) dur(key, def string) time.Duration {
	d, err := time.ParseDuration(a.str(key, def))
	if err != nil {
		a.d.Fatalf(a.t, "%v", err)
	}
	return d
}

func (a args) ptr(key string) *string {
	if !a.has(key) {
		return nil
	}
	s := a.str(key, "")
	return &s
}

func (b *bench) join(a args) {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Version = int16(a.num("v", 9))
	req.Group, req.MemberID, req.InstanceID = a.str("group", "g"), a.str("member", ""), a.ptr("instance")
	req.SessionTimeoutMillis = int32(a.dur("session", "10s").Milliseconds())
	req.RebalanceTimeoutMillis = int32(a.dur("rebalance", "60s").Milliseconds())
	req.ProtocolType = a.str("type", "consumer")
	names := a.list("protocols")
	if names == nil && !a.has("protocols") {
		names = []string{"range"}
	}
	for _, n := range names {
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = n, subscription(append(a.list("topics"), a.list("extra")...))
		req.Protocols = append(req.Protocols, p)
	}
	id := a.str("client", "c")
	b.c.JoinGroup(Client{ID: id, Host: "/127.0.0.1"}, req, func(r *kmsg.JoinGroupResponse) {
		roundTrip(r)
		who := r.MemberID
		if who == "" {
			who = id
		}
		if r.ErrorCode != 0 {
			b.say("join %s: %s", who, name(r.ErrorCode))
			return
		}
		var ms []string
		for _, m := range r.Members {
			ms = append(ms, m.MemberID)
		}
		line := fmt.Sprintf("join %s: generation %d protocol %s leader %s", who, r.Generation, *r.Protocol, r.LeaderID)
		if len(ms) > 0 {
			line += " members " + strings.Join(ms, ",")
		}
		if r.SkipAssignment {
			line += " skip-assignment"
		}
		b.say("%s", line)
	})
}

// roundTrip sees to it that the answer can be written in its version.
func roundTrip(r kmsg.Response) { r.AppendTo(nil) }

func (b *bench) sync(a args) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Version = int16(a.num("v", 5))
	req.Group, req.MemberID, req.InstanceID = a.str("group", "g"), a.str("member", ""), a.ptr("instance")
	req.Generation = int32(a.num("gen", 1))
	proto, typ := a.str("protocol", "range"), a.str("type", "consumer")
	req.Protocol, req.ProtocolType = &proto, &typ
	for _, s := range a.list("assign") {
		m, part, _ := strings.Cut(s, ":")
		as := kmsg.NewSyncGroupRequestGroupAssignment()
		as.MemberID, as.MemberAssignment = m, []byte(part)
		req.GroupAssignment = append(req.GroupAssignment, as)
	}
	b.c.SyncGroup(req, func(r *kmsg.SyncGroupResponse) {
		roundTrip(r)
		if r.ErrorCode != 0 {
			b.say("sync %s: %s", req.MemberID, name(r.ErrorCode))
			return
		}
		b.say("sync %s: %q", req.MemberID, r.MemberAssignment)
	})
}

func (b *bench) heartbeat(a args) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Version = 4
	req.Group, req.MemberID, req.InstanceID = a.str("group", "g"), a.str("member", ""), a.ptr("instance")
	req.Generation = int32(a.num("gen", 1))
	b.c.Heartbeat(req, func(r *kmsg.HeartbeatResponse) { b.say("heartbeat %s: %s", req.MemberID, name(r.ErrorCode)) })
}

func (b *bench) leave(a args) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Version = int16(a.num("v", 5))
	req.Group, req.MemberID = a.str("group", "g"), a.str("member", "")
	for _, id := range a.list("members") {
		m := kmsg.NewLeaveGroupRequestMember()
		id, instance, static := strings.Cut(id, "/")
		if m.MemberID = id; static {
			m.InstanceID = &instance
		}
		req.Members = append(req.Members, m)
	}
	b.c.LeaveGroup(req, func(r *kmsg.LeaveGroupResponse) {
		roundTrip(r)
		line := "leave: " + name(r.ErrorCode)
		for _, m := range r.Members {
			line += fmt.Sprintf(" %s=%s", m.MemberID, name(m.ErrorCode))
		}
		b.say("%s", line)
	})
}

// commit offsets=(t/0=5,t/1=7)
func (b *bench) commit(a args) {
	c := &Commit{
		Group: a.str("group", "g"), MemberID: a.str("member", ""), InstanceID: a.ptr("instance"), Generation: int32(a.num("gen", -1)),
		RetentionMs: -1, APIVersion: int16(a.num("v", 9)),
	}
	if a.has("retention") {
		c.RetentionMs = a.dur("retention", "").Milliseconds()
	}
	for _, o := range a.list("offsets") {
		tp, off, _ := strings.Cut(o, "=")
		t, p, _ := strings.Cut(tp, "/")
		n, _ := strconv.Atoi(p)
		v, _ := strconv.ParseInt(off, 10, 64)
		c.Topics = append(c.Topics, CommitTopic{Name: t, ID: topicID(a.str("id", "")), Partitions: []CommitPartition{
			{Index: int32(n), Offset: v, LeaderEpoch: -1, Metadata: a.ptr("metadata")}}})
	}
	b.c.CommitOffsets(c, func(codes []wire.Code) {
		var s []string
		for _, c := range codes {
			s = append(s, c.Name())
		}
		b.say("commit %s: %s", c.Group, strings.Join(s, " "))
	})
}

func topicID(s string) (id wire.TopicID) {
	copy(id[:], s)
	return id
}

// fetch [topics=(t/0,t/1)]
func (b *bench) fetch(a args) {
	var topics []FetchTopic
	for _, tp := range a.list("topics") {
		t, p, _ := strings.Cut(tp, "/")
		n, _ := strconv.Atoi(p)
		topics = append(topics, FetchTopic{Name: t, ID: topicID(a.str("id", "")), Partitions: []int32{int32(n)}})
	}
	g := a.str("group", "g")
	b.c.FetchOffsets(g, Anybody, topics, false, func(code wire.Code, ts []FetchedTopic) {
		if code != wire.None {
			b.say("fetch %s: %s", g, code.Name())
			return
		}
		b.say("fetch %s:%s", g, offsetsLine(ts))
	})
}

func offsetsLine(ts []FetchedTopic) (s string) {
	for _, t := range ts {
		for _, p := range t.Partitions {
			s += fmt.Sprintf(" %s/%d=%d", t.Name, p.Partition, p.Offset)
			if p.Metadata != "" {
				s += "(" + p.Metadata + ")"
			}
		}
	}
	return s
}

func (b *bench) describe(a args) {
	b.c.Describe([]string{a.str("group", "g")}, func(ds []Description) { b.say("%s", describeLine(ds[0])) })
}

func describeLine(d Description) string {
	s := fmt.Sprintf("%s: %s type %q protocol %q", d.Group, d.State, d.ProtocolType, d.Protocol)
	if d.Code != wire.None {
		s += " " + d.Code.Name() + " " + d.Message
	}
	for _, m := range d.Members {
		s += fmt.Sprintf("\n  %s", m.ID)
		if m.InstanceID != nil {
			s += " instance " + *m.InstanceID
		}
		s += fmt.Sprintf(" client %s %s assignment %q", m.ClientID, m.ClientHost, m.Assignment)
	}
	return s
}

func (b *bench) list(a args) {
	b.c.List(a.list("states"), a.list("types"), func(code wire.Code, ls []Listing) {
		b.say("list: %s", code.Name())
		for _, l := range ls {
			b.say("  %s %s %q %s", l.Group, l.Type, l.ProtocolType, l.State)
		}
	})
}

func (b *bench) deleteGroups(a args) {
	ids := a.list("groups")
	b.c.DeleteGroups(ids, func(codes []wire.Code) {
		for i, c := range codes {
			b.say("delete %s: %s", ids[i], c.Name())
		}
	})
}

func (b *bench) deleteOffsets(a args) {
	var topics []FetchTopic
	for _, tp := range a.list("topics") {
		t, p, _ := strings.Cut(tp, "/")
		n, _ := strconv.Atoi(p)
		topics = append(topics, FetchTopic{Name: t, Partitions: []int32{int32(n)}})
	}
	b.c.DeleteOffsets(a.str("group", "g"), topics, func(code wire.Code, codes []wire.Code) {
		var s []string
		for _, c := range codes {
			s = append(s, c.Name())
		}
		b.say("delete-offsets: %s %s", code.Name(), strings.Join(s, " "))
	})
}

// log prints the records from number from= on, as kafka-dump-log would.
func (b *bench) log(a args) string {
	var out strings.Builder
	for i, r := range b.logs.Log(0).Records() {
		if i < a.num("from", 0) {
			continue
		}
		k, err := coordrecord.DecodeGroupKey(r.Key)
		if err != nil {
			fmt.Fprintf(&out, "%d %v\n", i, err)
			continue
		}
		fmt.Fprintf(&out, "%d %s", i, k.AppendJSON(nil, 0))
		if r.Value == nil {
			out.WriteString(" null\n")
			continue
		}
		v, version, err := coordrecord.DecodeGroupValue(k.RecordType(), r.Value)
		if err != nil {
			fmt.Fprintf(&out, " %v\n", err)
			continue
		}
		fmt.Fprintf(&out, " v%d %s\n", version, v.AppendJSON(nil, version))
	}
	return out.String()
}

// write appends a record as another broker may have written it: write key=(type fields...) for foreign groups.
func (b *bench) write(a args) {
	var key coordrecord.Key
	group, member := a.str("group", "g"), a.str("member", "m")
	switch kind := a.str("type", ""); kind {
	case "streams-member":
		key = &coordrecord.StreamsGroupMemberMetadataKey{GroupID: group, MemberID: member}
	case "share":
		key = &coordrecord.ShareGroupMetadataKey{GroupID: group}
	case "streams":
		key = &coordrecord.StreamsGroupMetadataKey{GroupID: group}
	default:
		a.d.Fatalf(a.t, "unknown type %s", kind)
	}
	value := []byte{0, 0, 1, 2, 3}
	if a.has("tombstone") {
		value = nil
	}
	b.raw(coordrecord.AppendKey(nil, key), value)
}

func (b *bench) command(t *testing.T, d *datadriven.TestData) string {
	a := args{t, d}
	log := b.logs.Log(0)
	switch d.Cmd {
	case "config":
		b.cfg.MaxSize = a.num("max-size", b.cfg.MaxSize)
		b.cfg.InitialRebalanceDelay = a.dur("delay", b.cfg.InitialRebalanceDelay.String())
		b.crash()
		b.start()
	case "join":
		b.join(a)
	case "sync":
		b.sync(a)
	case "heartbeat":
		b.heartbeat(a)
	case "leave":
		b.leave(a)
	case "commit":
		b.commit(a)
	case "fetch":
		b.fetch(a)
	case "describe":
		b.describe(a)
	case "list":
		b.list(a)
	case "delete-groups":
		b.deleteGroups(a)
	case "delete-offsets":
		b.deleteOffsets(a)
	case "delete-topic":
		b.c.TopicsDeleted([]*image.Topic{{Name: a.str("name", ""), ID: topicID(a.str("id", ""))}})
	case "advance":
		<-time.After(a.dur("by", "1s"))
	case "hold":
		log.Hold()
	case "release":
		log.Release()
	case "fail":
		log.Fail(wire.NotEnoughReplicas)
	case "fail-appends":
		log.FailAppends(fmt.Errorf("disk: %w", wire.KafkaStorageError))
	case "heal":
		log.FailAppends(nil)
	case "resign":
		b.c.Resigned(0, -1)
	case "reload":
		b.crash()
		before := b.heard()
		b.start()
		return before + b.heard()
	case "write":
		b.write(a)
	case "log":
		synctest.Wait()
		return b.log(a)
	default:
		if !b.consumerCommand(a) {
			d.Fatalf(t, "unknown command %s", d.Cmd)
		}
	}
	return b.heard()
}

// TestScripts runs the scripts in testdata: the state machine step by step. Virtual time starts at 2000-01-01 UTC.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal(errors.Join(err, errors.New("no scripts")))
	}
	slices.Sort(files)
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(DefaultConfig())
				datadriven.RunTest(t, f, b.command)
				b.crash()
			})
		})
	}
}
