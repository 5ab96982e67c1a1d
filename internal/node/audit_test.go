package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/testkit/certkit"
	"github.com/weir-stream/weir/internal/testkit/kwire"
	"github.com/weir-stream/weir/internal/wire"
)

const auditName = "__weir_audit"

// event is a line of the audit log.
type event struct {
	Time, Event, Outcome, Principal, API, Operation, Resource, Mechanism string
	Node                                                                 int32
	Dropped                                                              int64
}

// trail reads the topic of the audit log.
type trail struct {
	t      *testing.T
	c      *kgo.Client
	events []event
}

// until reads on until an event is there for each resource of the list.
func (r *trail) until(resources ...string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), clusterDeadline)
	defer cancel()
	for {
		missing := ""
		for _, name := range resources {
			if r.count(func(e *event) bool { return e.Resource == name }) == 0 {
				missing = name
			}
		}
		if missing == "" {
			return
		}
		fs := r.c.PollFetches(ctx)
		if ctx.Err() != nil {
			r.t.Fatalf("no event about %s among %+v", missing, r.events)
		}
		fs.EachRecord(func(rec *kgo.Record) {
			var e event
			if err := json.Unmarshal(rec.Value, &e); err != nil || string(rec.Key) != fmt.Sprint(e.Node) {
				r.t.Errorf("record %q: %q %v", rec.Key, rec.Value, err)
			}
			r.events = append(r.events, e)
		})
	}
}

func (r *trail) count(match func(*event) bool) int {
	n := 0
	for i := range r.events {
		if match(&r.events[i]) {
			n++
		}
	}
	return n
}

// noLoop fails if somebody wrote down that the audit log was written, copied or read.
func (r *trail) noLoop() {
	r.t.Helper()
	if n := r.count(func(e *event) bool {
		return e.Resource == auditName && (e.API == "Produce" && e.Principal == "User:node" || e.API == "Fetch") || e.API == "Fetch" && e.Operation == "CLUSTER_ACTION"
	}); n > 0 {
		r.t.Errorf("%d of %d events are about the audit log itself: %+v", n, len(r.events), r.events)
	}
}

// deny has a broker refuse a client something about a name.
func deny(t *testing.T, address, name string) {
	t.Helper()
	c, err := kwire.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{{Topic: &name}}
	resp := ask[*kmsg.MetadataResponse](t, c, 9, req)
	if code := wire.Code(resp.Topics[0].ErrorCode); code != wire.TopicAuthorizationFailed {
		t.Fatalf("%s: %v", name, code)
	}
}

// TestAuditTopic: who was denied and allowed what stands in a topic that is made for it, which is not written down itself, and
// which clients cannot write to.
func TestAuditTopic(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), standardAuthorizer, "super.users=User:admin", "auto.create.topics.enable=false",
		"listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=PLAIN", "connection.failed.authentication.delay.ms=1",
		`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="some-l0ng-secret" user_bob="b0bs-long-secret";`,
		"weir.audit.destination=topic", "weir.audit.events=denied,allowed,login,login-failed", "weir.audit.topic.replication.factor=1", "weir.audit.topic.num.partitions=2",
		"weir.audit.max.events.per.second=100000"))
	defer n.Stop()
	as := func(user, password string, opts ...kgo.Opt) *kgo.Client {
		return client(t, n, append([]kgo.Opt{n.seed("SASL_PLAINTEXT"), kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism())}, opts...)...)
	}
	deny(t, n.Addr("PLAINTEXT"), "first")
	await(t, "the topic is there", func() bool { return n.image.Load().TopicByName(auditName) != nil })
	r := &trail{t: t, c: as("admin", "some-l0ng-secret", kgo.ConsumeTopics(auditName), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))}
	r.until("first")
	if err := ping(t, n, n.seed("SASL_PLAINTEXT"), kgo.SASL(plain.Auth{User: "bob", Pass: "wr0ng-password"}.AsMechanism())); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a wrong password: %v", err)
	}
	admin := kadm.NewClient(as("admin", "some-l0ng-secret"))
	allow := kadm.NewACLs().Allow("User:bob").AllowHosts("*").Topics(auditName).ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpAll)
	if rs, err := admin.CreateACLs(t.Context(), allow); err != nil || rs[0].Err != nil {
		t.Fatal(err, rs)
	}
	// A user with every right on it reads it, and cannot write it.
	forged := as("bob", "b0bs-long-secret").ProduceSync(t.Context(), &kgo.Record{Topic: auditName, Value: []byte(`{"resource":"forged"}`)})
	if err := forged.FirstErr(); !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("a client writes to the audit log: %v", err)
	}
	for i := range 30 { // each is found by the next fetch
		deny(t, n.Addr("PLAINTEXT"), fmt.Sprint("n", i))
		r.until(fmt.Sprint("n", i))
	}
	r.noLoop()
	for what, match := range map[string]func(*event) bool{
		"denial": func(e *event) bool {
			return e.Resource == "first" && e.Outcome == "denied" && e.Principal == "User:ANONYMOUS" && e.API == "Metadata" && e.Node == 1
		},
		"failed login": func(e *event) bool {
			return e.Event == "authentication" && e.Outcome == "failed" && e.Principal == "User:bob" && e.Mechanism == "PLAIN"
		},
		"login": func(e *event) bool {
			return e.Event == "authentication" && e.Outcome == "succeeded" && e.Principal == "User:admin"
		},
		"allowance": func(e *event) bool {
			return e.Outcome == "allowed" && e.API == "CreateAcls" && e.Principal == "User:admin"
		},
		"forgery": func(e *event) bool { return e.Resource == auditName && e.API == "Produce" && e.Principal == "User:bob" },
	} {
		if r.count(match) == 0 {
			t.Errorf("no %s among %+v", what, r.events)
		}
	}
	if n.audit.Dropped() != 0 {
		t.Errorf("%d events are lost", n.audit.Dropped())
	}
	cs, err := admin.DescribeTopicConfigs(t.Context(), auditName)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs[0].Configs {
		if c.Key == "cleanup.policy" && c.MaybeValue() != "delete" {
			t.Errorf("cleanup.policy=%s", c.MaybeValue())
		}
	}
}

// TestAuditTopicCannotBeMade: the log says why, events are counted as lost, requests go on and the node stops in time.
func TestAuditTopicCannotBeMade(t *testing.T) {
	t.Parallel()
	said := new(lines)
	cfg := settings(t, filepath.Join(t.TempDir(), "data"), standardAuthorizer, "super.users=User:admin", "weir.audit.destination=topic")
	n, err := Start(t.Context(), Options{Config: cfg, Logs: telemetry.NewLogs(said, 0, false)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		deny(t, n.Addr("PLAINTEXT"), fmt.Sprint("n", i))
	}
	if err := n.Stop(); err != nil {
		t.Error(err)
	}
	if said.with("audit topic "+auditName, "weir.audit.topic.replication.factor=3", "INVALID_REPLICATION_FACTOR") == 0 {
		t.Errorf("it said\n%s", said.b.String())
	}
	if n.audit.Dropped() != 50 || n.audit.Written() != 0 {
		t.Errorf("%d lost, %d written", n.audit.Dropped(), n.audit.Written())
	}
}

// TestAuditTopicOfACluster: each of three secured nodes writes what happens at it, whoever leads the topic's partition and while
// the leader is lost.
func TestAuditTopicOfACluster(t *testing.T) {
	t.Parallel()
	k := between(t, certkit.New(t), threeCombined, "SASL_SSL", "SSL", "sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN", plainJAAS("internal"),
		"listener.name.controller.ssl.client.auth=required", standardAuthorizer, "super.users=User:node", "auto.create.topics.enable=false",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,READERS:SASL_PLAINTEXT,INTERNAL:SASL_SSL,CONTROLLER:SSL", plainJAAS("readers"),
		"weir.audit.destination=topic", "weir.audit.events=denied,allowed", "weir.audit.max.events.per.second=100000")
	var seeds []string
	for _, m := range k.members {
		a := fmt.Sprint("127.0.0.1:", freePort(t))
		m.own = append(m.own, "listeners=READERS://"+a)
		seeds = append(seeds, a)
	}
	k.formatAll()
	k.start(k.members...)
	var all []string
	denyAll := func(what string) {
		for _, m := range k.members {
			if m.n == nil {
				continue
			}
			name := fmt.Sprint(what, "-at-", m.id)
			deny(t, m.address, name)
			all = append(all, name)
		}
	}
	denyAll("first")
	k.eventually("the topic is there", func() bool {
		for _, m := range k.members {
			if m.n.image.Load().TopicByName(auditName) == nil {
				return false
			}
		}
		return true
	})
	r := &trail{t: t, c: k.client(kgo.SeedBrokers(seeds...), kgo.SASL(plain.Auth{User: "node", Pass: "node-s3cret"}.AsMechanism()),
		kgo.ConsumeTopics(auditName), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(50*time.Millisecond))}
	for i := range 10 {
		denyAll(fmt.Sprint("round-", i))
		r.until(all...)
	}
	var leader *member
	k.eventually("the topic has a leader", func() bool {
		for _, m := range k.members {
			if m.n.image.Load().TopicByName(auditName).Partitions[0].Leader == int32(m.id) {
				leader = m
			}
		}
		return leader != nil
	})
	leader.kill()
	for i := range 5 {
		denyAll(fmt.Sprint("without-", i))
	}
	r.until(all...)
	k.start(leader)
	denyAll("again")
	r.until(all...)
	r.noLoop()
	for _, m := range k.members {
		at := r.count(func(e *event) bool {
			return e.Node == int32(m.id) && strings.HasSuffix(e.Resource, fmt.Sprint("-at-", m.id))
		})
		if at < 6 || m.n.audit.Dropped() != 0 {
			t.Errorf("node %d: %d events, %d lost", m.id, at, m.n.audit.Dropped())
		}
	}
	// A stranger's write is refused at the leader, by right and by name.
	c, err := kwire.Dial(leader.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if code := produced(ask[*kmsg.ProduceResponse](t, c, 12, produceRequest(t, auditName, new(record.Builder)))); code != wire.TopicAuthorizationFailed {
		t.Errorf("a stranger writes to the audit log: %v", code)
	}
}
