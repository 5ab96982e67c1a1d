package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/security/channel"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/certkit"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	standardAuthorizer = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer"
	nodeLogin          = ` required username="node" password="node-s3cret"`
)

// plainJAAS lets nodes sign in with PLAIN on a listener, and says who they are.
func plainJAAS(listener string) string {
	return "listener.name." + listener + ".plain.sasl.jaas.config=" + sasl.PlainLoginModule + nodeLogin + ` user_node="node-s3cret";`
}

func scramJAAS(listener string) string {
	return "listener.name." + listener + ".scram-sha-512.sasl.jaas.config=" + sasl.ScramLoginModule + nodeLogin + `;`
}

// between makes nodes with a listener INTERNAL for each other besides that for clients, which is plain text.
func between(t *testing.T, ca *certkit.Authority, roles []string, internal, controllers string, extra ...string) *cluster {
	t.Helper()
	k := membersOf(t, roles, append([]string{
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:" + internal + ",CONTROLLER:" + controllers, "inter.broker.listener.name=INTERNAL",
		"ssl.keystore.type=PEM", "ssl.truststore.type=PEM", "ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/L",
		"connection.failed.authentication.delay.ms=1",
	}, extra...)...)
	for _, m := range k.members {
		m.trust(ca)
		if strings.Contains(m.roles, "broker") {
			m.own = append(m.own, fmt.Sprint("listeners=INTERNAL://127.0.0.1:", freePort(t)))
		}
	}
	return k
}

// trust gives a node a certificate of an authority, which it trusts.
func (m *member) trust(ca *certkit.Authority) {
	dir := m.k.t.TempDir()
	m.own = append(m.own, "ssl.keystore.location="+ca.Issue(m.k.t, "node").Keystore(m.k.t, dir, "node.pem"),
		"ssl.truststore.location="+certkit.File(m.k.t, dir, "ca.pem", ca.PEM))
}

func (k *cluster) formatAll() {
	for _, m := range k.members {
		m.format()
	}
}

var threeCombined = []string{"broker,controller", "broker,controller", "broker,controller"}

// TestSecuredBetweenNodes: three nodes agree, forward, copy and lose one of them, over each kind of listener between
// them.
func TestSecuredBetweenNodes(t *testing.T) {
	for _, c := range []struct {
		name, internal, controllers string
		roles, extra                []string
	}{
		{name: "SSL", internal: "SSL", controllers: "SSL", roles: threeCombined},
		{name: "mTLS", internal: "SSL", controllers: "SSL", roles: []string{"controller", "broker", "broker,controller"},
			extra: []string{"ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:ANONYMOUS"}},
		{name: "PLAIN", internal: "SASL_SSL", controllers: "SASL_SSL", roles: threeCombined,
			extra: []string{"sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN", "sasl.mechanism.controller.protocol=PLAIN",
				plainJAAS("internal"), plainJAAS("controller"), standardAuthorizer, "super.users=User:node;User:ANONYMOUS"}},
		{name: "SCRAM", internal: "SASL_SSL", controllers: "SSL", roles: threeCombined,
			extra: []string{"sasl.enabled.mechanisms=SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512", scramJAAS("internal"),
				"listener.name.controller.ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:ANONYMOUS"}},
		{name: "one controller", internal: "SASL_SSL", controllers: "SSL", roles: []string{"broker,controller", "broker"},
			extra: []string{"sasl.enabled.mechanisms=SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512", scramJAAS("internal"),
				"listener.name.controller.ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:ANONYMOUS"}},
		{name: "short sessions", internal: "SASL_PLAINTEXT", controllers: "SASL_PLAINTEXT", roles: threeCombined,
			extra: []string{"sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN", "sasl.mechanism.controller.protocol=PLAIN",
				plainJAAS("internal"), plainJAAS("controller"), "connections.max.reauth.ms=700"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := between(t, certkit.New(t), c.roles, c.internal, c.controllers, c.extra...)
			k.scram = []string{"SCRAM-SHA-512=[name=node,password=node-s3cret]"}
			k.formatAll()
			k.start(k.members...)
			cl := k.client()
			factor := int16(0)
			for _, role := range c.roles {
				if strings.Contains(role, "broker") {
					factor++
				}
			}
			k.create(cl, "copied", 3, factor)
			k.produce(cl, "copied", 30)
			k.untilInSync("copied", int(factor))
			if factor < 3 {
				return
			}
			active := k.active()
			active.kill()
			k.create(cl, "without", 2, 2)
			k.produce(cl, "copied", 20)
			k.start(active)
			k.untilInSync("copied", int(factor))
			k.consume("copied", 30)
		})
	}
}

func (k *cluster) untilInSync(topic string, factor int) {
	k.t.Helper()
	k.eventually(topic+" is in sync", func() bool {
		for _, m := range k.members {
			if m.n == nil || !strings.Contains(m.roles, "broker") {
				continue
			}
			got := m.n.image.Load().TopicByName(topic)
			if got == nil {
				return false
			}
			for i := range got.Partitions {
				if len(got.Partitions[i].ISR) != factor {
					return false
				}
			}
		}
		return true
	})
}

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) with(words ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.SplitSeq(l.b.String(), "\n") {
		all := line != ""
		for _, w := range words {
			all = all && strings.Contains(line, w)
		}
		if all {
			n++
		}
	}
	return n
}

// TestNodeIsRefused: a node with a wrong password, a certificate of a stranger or none, or without rights is let in by nobody,
// says why in its log, once, and tries again at a bearable rate; the others go on.
func TestNodeIsRefused(t *testing.T) {
	plainBoth := []string{"sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN", "sasl.mechanism.controller.protocol=PLAIN",
		plainJAAS("internal"), plainJAAS("controller")}
	mutual := []string{"ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:ANONYMOUS"}
	for _, c := range []struct {
		name, protocol string
		extra, own     []string
		stranger       bool
		said, never    string
	}{
		{name: "password", protocol: "SASL_SSL", extra: plainBoth, said: "authentication failed as node by SASL mechanism PLAIN: Authentication failed: Invalid username or password", never: "n0thing",
			own: []string{strings.ReplaceAll(plainJAAS("controller"), `password="node-s3cret"`, `password="n0thing"`), strings.ReplaceAll(plainJAAS("internal"), `password="node-s3cret"`, `password="n0thing"`)}},
		{name: "stranger", protocol: "SSL", extra: mutual, stranger: true, said: "certificate signed by unknown authority"},
		{name: "no certificate", protocol: "SSL", extra: mutual, own: []string{"listener.name.controller.ssl.keystore.location="}, said: "certificate required"},
		{name: "plain text", protocol: "SSL", own: []string{"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INTERNAL:SSL,CONTROLLER:PLAINTEXT"}, said: "the other side wants TLS|closed by the other side|connection reset by peer|broken pipe"},
		{name: "rights", protocol: "SSL", extra: []string{"ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:ANONYMOUS", "ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/L"},
			own: []string{"other name"}, said: "CLUSTER_AUTHORIZATION_FAILED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ca := certkit.New(t)
			k := between(t, ca, []string{"broker,controller", "broker,controller", "broker,controller", "broker"}, c.protocol, c.protocol, c.extra...)
			last := k.members[3]
			switch {
			case c.stranger:
				last.trust(certkit.New(t))
			case c.name == "rights":
				last.own = append(last.own, "ssl.keystore.location="+ca.Issue(t, "other").Keystore(t, t.TempDir(), "other.pem"))
			default:
				last.own = append(last.own, c.own...)
			}
			k.formatAll()
			k.start(k.members[:3]...)
			log := &lines{}
			last.logs = log
			t.Cleanup(func() {
				if t.Failed() {
					t.Log(log.text())
				}
			})
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				n, err := Start(ctx, last.options())
				if n != nil && err == nil {
					_ = n.Stop()
				}
				ended <- err
			}()
			said := func() (n int) {
				for _, one := range strings.Split(c.said, "|") { // which it is depends on what comes first
					n += log.with(one)
				}
				return n
			}
			k.eventually("the log says why", func() bool { return said() > 0 })
			at := k.client()
			k.create(at, "others", 1, 3)
			k.produce(at, "others", 50)
			k.untilInSync("others", 3)
			cancel()
			if err := <-ended; err == nil {
				t.Error("it was let in")
			}
			if n := said(); n > 8 {
				t.Errorf("%d lines say %q", n, c.said)
			}
			if c.never != "" && log.with(c.never) > 0 {
				t.Error("a password is in the log")
			}
		})
	}
}

// TestRightsThroughForwarding: who a client is and where it comes from is judged by the broker that it asks and by the
// controller that decides, whichever node that is. What the broker does for itself is done as the broker.
func TestRightsThroughForwarding(t *testing.T) {
	clients := "listener.name.clients.plain.sasl.jaas.config=" + sasl.PlainLoginModule + ` required user_root="root-s3cret" user_alice="alice-s3cret";`
	k := between(t, certkit.New(t), threeCombined, "SSL", "SSL", "listener.name.internal.ssl.client.auth=required", "listener.name.controller.ssl.client.auth=required",
		standardAuthorizer, "super.users=User:node;User:root", "sasl.enabled.mechanisms=PLAIN", clients,
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENTS:SASL_PLAINTEXT,INTERNAL:SSL,CONTROLLER:SSL")
	var seeds []string
	for _, m := range k.members {
		a := fmt.Sprint("127.0.0.1:", freePort(t))
		m.own = append(m.own, "listeners=CLIENTS://"+a)
		seeds = append(seeds, a)
	}
	k.formatAll()
	k.start(k.members...)
	as := func(user string, opts ...kgo.Opt) *kgo.Client {
		return k.client(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.SASL(plain.Auth{User: user, Pass: user + "-s3cret"}.AsMechanism())}, opts...)...)
	}
	root, alice := kadm.NewClient(as("root")), kadm.NewClient(as("alice"))
	allow := kadm.NewACLs().Allow("User:alice").AllowHosts("127.0.0.1").Topics("mine").Groups("mine").ResourcePatternType(kadm.ACLPatternPrefixed).
		Operations(kadm.OpCreate, kadm.OpDelete, kadm.OpWrite, kadm.OpRead, kadm.OpDescribe)
	made, err := root.CreateACLs(k.ctx(), allow)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range made {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	k.eventually("every node has the rules", func() bool {
		for _, m := range k.members {
			if m.n.image.Load().Offset() < k.active().n.image.Load().Offset() {
				return false
			}
		}
		return true
	})
	// Asked of each broker in turn: two of the three forward.
	for i, m := range k.members {
		client := as("alice")
		for _, c := range []struct {
			topic string
			want  error
		}{{fmt.Sprint("mine-", i), nil}, {fmt.Sprint("yours-", i), kerr.TopicAuthorizationFailed}} {
			if err := createAt(k.ctx(), client, int32(m.id), c.topic); !errors.Is(err, c.want) {
				t.Errorf("broker %d, %s: %v", m.id, c.topic, err)
			}
		}
	}
	for _, m := range k.members {
		rate := "1000000"
		set := []kadm.AlterConfig{{Name: "leader.replication.throttled.rate", Value: &rate}}
		if rs, err := root.AlterBrokerConfigs(k.ctx(), set, int32(m.id)); err != nil || rs[0].Err != nil {
			t.Errorf("settings of broker %d: %v %v", m.id, err, rs)
		}
		if rs, err := alice.AlterBrokerConfigs(k.ctx(), set, int32(m.id)); err == nil && !errors.Is(rs[0].Err, kerr.ClusterAuthorizationFailed) {
			t.Errorf("settings of broker %d, by alice: %v", m.id, rs)
		}
	}
	if rs, err := alice.DescribeACLs(k.ctx(), allow); err == nil && (len(rs) == 0 || rs[0].Err == nil) {
		t.Errorf("alice may read the rules: %v", rs)
	}
	// A group of hers makes __consumer_offsets, which she has no right to create; the broker that she asks has to forward.
	other := k.members[k.active().id%3]
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"mine"}
	if _, err := as("alice").Broker(other.id).Request(k.ctx(), find); err != nil {
		t.Error(err)
	}
	k.eventually("the topic of groups is there", func() bool { return other.n.image.Load().TopicByName(offsetsTopic) != nil })
	k.create(as("root"), "mine-read", 1, 3)
	w := as("alice")
	k.produce(w, "mine-read", 10)
	r := as("alice", kgo.ConsumerGroup("mine"), kgo.ConsumeTopics("mine-read"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for n := 0; n < 10; {
		fs := r.PollFetches(k.ctx())
		if err := fs.Err0(); err != nil {
			t.Fatalf("%d of 10 records: %v", n, err)
		}
		n += fs.NumRecords()
	}
	if err := r.CommitUncommittedOffsets(k.ctx()); err != nil {
		t.Error(err)
	}
}

// createAt asks one broker to make a topic.
func createAt(ctx context.Context, cl *kgo.Client, broker int32, topic string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 20_000
	req.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}
	resp, err := cl.Broker(int(broker)).Request(ctx, req)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
}

// TestEnvelopeIsChecked: a controller takes requests in somebody else's name from nodes only, and asks for the rights of
// that name.
func TestEnvelopeIsChecked(t *testing.T) {
	ca := certkit.New(t)
	k := between(t, ca, []string{"controller", "broker"}, "SSL", "SSL", "ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:root")
	k.formatAll()
	k.start(k.members...)
	m := k.members[0]
	as := func(name string) *peer.Client {
		m.own = append(m.own, "ssl.keystore.location="+ca.Issue(t, name).Keystore(t, t.TempDir(), "k.pem"))
		cfg := m.settings()
		m.own = m.own[:len(m.own)-1]
		d, err := channel.NewDialer(cfg, cfg.Node().Dialed()[0], nil)
		if err != nil {
			t.Fatal(err)
		}
		c := peer.New(peer.Config{Address: m.controllerAddress(), Dial: d.Dial, Group: m.n.metaGroup, Log: m.n.logger})
		t.Cleanup(c.Close)
		return c
	}
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Version, create.TimeoutMillis = 7, 10_000
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "t", NumPartitions: 1, ReplicationFactor: 1}}
	inner := kmsg.NewRequestFormatter().AppendRequest(nil, create, 0)[4:]
	principalOf := func(version int16, kind, name string) []byte {
		p := kmsg.DefaultPrincipalData{Version: version, Type: kind, Name: name}
		return p.AppendTo(nil)
	}
	node, stranger := as("node"), as("stranger")
	for _, c := range []struct {
		what      string
		from      *peer.Client
		principal []byte
		want      wire.Code
		topic     wire.Code
	}{
		{"who is no node", stranger, principalOf(0, "User", "root"), wire.ClusterAuthorizationFailed, 0},
		{"no principal", node, nil, wire.PrincipalDeserializationFailure, 0},
		{"half a principal", node, principalOf(0, "User", "root")[:5], wire.PrincipalDeserializationFailure, 0},
		{"a principal of another version", node, principalOf(1, "User", "root"), wire.PrincipalDeserializationFailure, 0},
		{"nobody", node, principalOf(0, "User", ""), wire.PrincipalDeserializationFailure, 0},
		{"alice", node, principalOf(0, "User", "alice"), wire.None, wire.TopicAuthorizationFailed},
		{"root", node, principalOf(0, "User", "root"), wire.None, wire.None},
	} {
		req := kmsg.NewPtrEnvelopeRequest()
		req.RequestData, req.RequestPrincipal, req.ClientHostAddress = inner, c.principal, []byte{127, 0, 0, 1}
		resp, err := c.from.Do(k.ctx(), req)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		e := resp.(*kmsg.EnvelopeResponse)
		if wire.Code(e.ErrorCode) != c.want {
			t.Errorf("%s: %v", c.what, wire.Code(e.ErrorCode))
			continue
		}
		if c.want != wire.None {
			continue
		}
		answer := create.ResponseKind().(*kmsg.CreateTopicsResponse)
		if err := answer.ReadFrom(e.ResponseData[5:]); err != nil {
			t.Fatal(err)
		}
		if got := wire.Code(answer.Topics[0].ErrorCode); got != c.topic {
			t.Errorf("%s: %v", c.what, got)
		}
	}
}
