package handler

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/clientmetrics"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// echo is a controller that agrees to everything and remembers what it was asked.
type echo struct {
	asked []kmsg.Request
	err   error
}

func (e *echo) Handle(_ context.Context, _ controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	e.asked = append(e.asked, req)
	if e.err != nil {
		return nil, e.err
	}
	switch q := req.(type) {
	case *kmsg.IncrementalAlterConfigsRequest:
		resp := q.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for _, r := range q.Resources {
			resp.Resources = append(resp.Resources, kmsg.IncrementalAlterConfigsResponseResource{ResourceType: r.ResourceType, ResourceName: r.ResourceName})
		}
		return resp, nil
	case *kmsg.AlterConfigsRequest:
		resp := q.ResponseKind().(*kmsg.AlterConfigsResponse)
		for _, r := range q.Resources {
			resp.Resources = append(resp.Resources, kmsg.AlterConfigsResponseResource{ResourceType: r.ResourceType, ResourceName: r.ResourceName})
		}
		return resp, nil
	}
	return nil, fmt.Errorf("unexpected %T", req)
}

// nobody refuses everything.
type nobody struct{ authz.AllowAll }

func (nobody) Authorize(authz.Caller, authz.Operation, authz.ResourceType, string) bool { return false }
func (nobody) Enabled() bool                                                            { return true }

// settingsBroker is a broker with a topic, settings, quotas and credentials, without logs or listeners.
func settingsBroker(t *testing.T) (*Broker, *echo) {
	t.Helper()
	cfg, _, err := config.Load(nil, []string{"node.id=1"})
	if err != nil {
		t.Fatal(err)
	}
	name := "alice"
	img, _, err := image.Empty().Apply(image.Provenance{Offset: 9},
		mr.Versioned{Record: &mr.TopicRecord{Name: "alpha", TopicID: [16]byte{1}}},
		mr.Versioned{Record: &mr.ConfigRecord{ResourceType: 2, ResourceName: "alpha", Name: "retention.ms", Value: ptr("5")}},
		mr.Versioned{Record: &mr.ConfigRecord{ResourceType: 16, ResourceName: "sub", Name: "interval.ms", Value: ptr("1000")}},
		mr.Versioned{Record: &mr.ClientQuotaRecord{Entity: []mr.ClientQuotaRecordEntityData{{EntityType: "user", EntityName: &name}}, Key: "producer_byte_rate", Value: 5}},
		mr.Versioned{Record: &mr.ClientQuotaRecord{Entity: []mr.ClientQuotaRecordEntityData{{EntityType: "user"}, {EntityType: "client-id", EntityName: &name}}, Key: "request_percentage", Value: 7}},
		mr.Versioned{Record: &mr.UserScramCredentialRecord{Name: name, Mechanism: 1, Iterations: 4096, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}}},
	)
	if err != nil {
		t.Fatal(err)
	}
	group := lifecycle.New("test", slog.New(slog.DiscardHandler))
	t.Cleanup(group.Stop)
	ctl := &echo{}
	logs := telemetry.NewLogs(&bytes.Buffer{}, slog.LevelInfo, false)
	logs.Logger("replica")
	b := &Broker{Deps: Deps{NodeID: 1, Config: func() *config.Set { return cfg }, Image: func() *image.Image { return img }, Controller: ctl,
		Authorizer: authz.AllowAll{}, Group: group, Logger: logs.Logger("handler"), Loggers: logs, Now: time.Now,
		ClientMetrics: clientmetrics.New(clientmetrics.Options{MaxInstances: 10, MaxBytes: 1000}, telemetry.New(telemetry.Options{}))}}
	return b, ctl
}

func ptr[T any](v T) *T { return &v }

// ask1 runs a handler and returns its answer.
func ask1[T any](t *testing.T, handle func(*wire.Request), body kmsg.Request) T {
	t.Helper()
	body.SetVersion(body.MaxVersion())
	answers := make(chan wire.Response, 1)
	handle(&wire.Request{Key: body.Key(), Version: body.MaxVersion(), Body: body, Conn: &wire.ConnInfo{Principal: "User:ANONYMOUS", Remote: netip.MustParseAddrPort("127.0.0.1:1")},
		ReplyFunc: func(_ *wire.Request, resp wire.Response) { answers <- resp }})
	select {
	case resp := <-answers:
		return resp.(T)
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
		panic("unreachable")
	}
}

func describe(t *testing.T, b *Broker, typ int8, name string, keys ...string) kmsg.DescribeConfigsResponseResource {
	t.Helper()
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms, req.IncludeDocumentation = true, true
	req.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kmsg.ConfigResourceType(typ), ResourceName: name, ConfigNames: keys}}
	return ask1[*kmsg.DescribeConfigsResponse](t, b.handleDescribeConfigs, req).Resources[0]
}

func TestDescribeConfigs(t *testing.T) {
	b, _ := settingsBroker(t)
	r := describe(t, b, 2, "alpha", "retention.ms")
	if r.ErrorCode != 0 || len(r.Configs) != 1 {
		t.Fatalf("answer = %+v", r)
	}
	if c := r.Configs[0]; *c.Value != "5" || c.Source != 1 || c.ConfigType != 5 || c.Documentation == nil || len(c.ConfigSynonyms) != 1 {
		t.Errorf("config = %+v", c)
	}
	if got := len(describe(t, b, 2, "alpha").Configs); got < 35 {
		t.Errorf("%d settings of a topic", got)
	}
	for _, c := range []struct {
		typ        int8
		name, want string
		code       wire.Code
	}{
		{2, "beta", "", wire.UnknownTopicOrPartition},
		{2, "a/b", "other than ASCII alphanumerics", wire.InvalidTopicException},
		{4, "2", "expected 1 or empty string, but received 2", wire.InvalidRequest},
		{4, "x", "must be an integer", wire.InvalidRequest},
		{8, "", "must not be empty", wire.InvalidRequest},
		{16, "", "must not be empty", wire.InvalidRequest},
		{32, "", "must not be empty", wire.InvalidRequest},
		{7, "x", "resource type", wire.InvalidRequest},
	} {
		r := describe(t, b, c.typ, c.name)
		if wire.Code(r.ErrorCode) != c.code || r.ErrorMessage == nil || !strings.Contains(*r.ErrorMessage, c.want) {
			t.Errorf("type %d name %q: %d %q", c.typ, c.name, r.ErrorCode, *r.ErrorMessage)
		}
	}
	b.Authorizer = nobody{}
	for typ, want := range map[int8]wire.Code{2: wire.TopicAuthorizationFailed, 4: wire.ClusterAuthorizationFailed, 8: wire.ClusterAuthorizationFailed, 16: wire.ClusterAuthorizationFailed, 32: wire.GroupAuthorizationFailed} {
		if r := describe(t, b, typ, "alpha"); wire.Code(r.ErrorCode) != want || len(r.Configs) != 0 {
			t.Errorf("type %d: %+v", typ, r)
		}
	}
}

type change struct {
	typ      int8
	name     string
	key      string
	op       kmsg.IncrementalAlterConfigOp
	value    *string
	wantCode wire.Code
	wantText string
}

func alter(t *testing.T, b *Broker, validateOnly bool, changes ...change) []kmsg.IncrementalAlterConfigsResponseResource {
	t.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.ValidateOnly = validateOnly
	for _, c := range changes {
		req.Resources = append(req.Resources, kmsg.IncrementalAlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceType(c.typ), ResourceName: c.name,
			Configs: []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: c.key, Op: c.op, Value: c.value}}})
	}
	return ask1[*kmsg.IncrementalAlterConfigsResponse](t, b.handleIncrementalAlterConfigs, req).Resources
}

// One request with good and bad resources: the good ones reach the controller, in the answer each has its own.
func TestIncrementalAlterConfigsJudgesEachResource(t *testing.T) {
	b, ctl := settingsBroker(t)
	changes := []change{
		{2, "alpha", "retention.ms", 0, ptr("1"), 0, ""},
		{4, "1", "num.partitions", 0, ptr("1"), wire.InvalidRequest, "Cannot update these configs dynamically: [num.partitions]"},
		{4, "2", "log.cleaner.threads", 0, ptr("2"), wire.InvalidRequest, "Unexpected broker id, expected 1, but received 2"},
		{4, "", "log.retention.ms", 0, ptr("9"), 0, ""},
		{8, "1", "replica", 0, ptr("DEBUG"), 0, ""},
		{32, "g", "consumer.session.timeout.ms", 0, nil, wire.InvalidRequest, "Null value not supported for : consumer.session.timeout.ms"},
		{16, "sub", "interval.ms", 1, nil, 0, ""},
		{9, "x", "y", 0, ptr("z"), wire.InvalidRequest, "Unknown resource type 9"},
	}
	got := alter(t, b, false, changes...)
	for i, c := range changes {
		if wire.Code(got[i].ErrorCode) != c.wantCode || (c.wantText != "") != (got[i].ErrorMessage != nil) || c.wantText != "" && *got[i].ErrorMessage != c.wantText {
			t.Errorf("%s %s: %+v", c.name, c.key, got[i])
		}
		if int8(got[i].ResourceType) != c.typ || got[i].ResourceName != c.name {
			t.Errorf("answer %d is of %v %s", i, got[i].ResourceType, got[i].ResourceName)
		}
	}
	if passed := ctl.asked[0].(*kmsg.IncrementalAlterConfigsRequest); len(passed.Resources) != 3 {
		t.Errorf("%d resources went to the controller", len(passed.Resources))
	}
	if b.Loggers.Level("replica") != slog.LevelDebug {
		t.Error("the level of the logger was not set")
	}
	twice := change{2, "alpha", "retention.ms", 0, ptr("1"), 0, ""}
	for _, r := range alter(t, b, false, twice, twice) {
		if wire.Code(r.ErrorCode) != wire.InvalidRequest || *r.ErrorMessage != "Each resource must appear at most once." {
			t.Errorf("twice: %+v", r)
		}
	}
	ctl.err = fmt.Errorf("election under way: %w", wire.NotController)
	if r := alter(t, b, false, changes[0], changes[1]); wire.Code(r[0].ErrorCode) != wire.NotController || wire.Code(r[1].ErrorCode) != wire.InvalidRequest {
		t.Errorf("without a controller: %+v", r)
	}
	b.Authorizer = nobody{}
	if r := alter(t, b, false, changes[0], changes[4]); wire.Code(r[0].ErrorCode) != wire.TopicAuthorizationFailed || wire.Code(r[1].ErrorCode) != wire.ClusterAuthorizationFailed {
		t.Errorf("without rights: %+v", r)
	}
}

func TestListsOfTheBrokerAreEdited(t *testing.T) {
	d := config.LookupBroker("log.cleanup.policy")
	for _, c := range []struct {
		old, change string
		add         bool
		want        string
	}{
		{"", "compact", true, "delete,compact"},
		{"delete,compact", "compact", true, "delete,compact"},
		{"delete,compact", "delete", false, "compact"},
		{"compact", "delete", false, "compact"},
	} {
		settings := map[string]string{}
		if c.old != "" {
			settings[d.Name] = c.old
		}
		if got := editList(settings, d, c.change, c.add); got != c.want {
			t.Errorf("%q %q %v = %q", c.old, c.change, c.add, got)
		}
	}
	b, ctl := settingsBroker(t)
	if r := alter(t, b, false, change{4, "1", "log.cleanup.policy", 2, ptr("nonsense"), 0, ""}); wire.Code(r[0].ErrorCode) != wire.InvalidRequest || len(ctl.asked) != 0 {
		t.Errorf("answer = %+v", r)
	}
	if r := alter(t, b, false, change{4, "1", "log.retention.ms", 2, ptr("1"), 0, ""}); wire.Code(r[0].ErrorCode) != wire.InvalidConfig {
		t.Errorf("answer = %+v", r)
	}
}

func TestLoggersAsSettings(t *testing.T) {
	b, _ := settingsBroker(t)
	names := func() string {
		var out []string
		for _, c := range describe(t, b, 8, "1").Configs {
			out = append(out, c.Name+"="+*c.Value)
		}
		return strings.Join(out, " ")
	}
	if got := names(); !strings.Contains(got, "kafka.server.ReplicaManager=INFO") || !strings.Contains(got, "replica=INFO") || !strings.Contains(got, "root=INFO") {
		t.Errorf("loggers: %s", got)
	}
	for _, c := range []change{
		{8, "1", "root", 0, ptr("LOUD"), wire.InvalidConfig, "is not a supported log level"},
		{8, "1", "none", 0, ptr("INFO"), wire.InvalidConfig, "Logger none does not exist!"},
		{8, "1", "root", 2, ptr("INFO"), wire.InvalidRequest, "APPEND operation is not allowed"},
		{8, "1", "root", 1, nil, wire.InvalidRequest, "is not allowed"},
		{8, "1", "none", 1, nil, wire.InvalidConfig, "does not exist"},
		{8, "7", "root", 0, ptr("INFO"), wire.InvalidRequest, "Expected 1, but received 7"},
		{8, "1", "root", 9, ptr("INFO"), wire.InvalidRequest, "9"},
	} {
		if r := alter(t, b, false, c)[0]; wire.Code(r.ErrorCode) != c.wantCode || !strings.Contains(*r.ErrorMessage, c.wantText) {
			t.Errorf("%s %s: %d %s", c.key, *cmpValue(c.value), r.ErrorCode, *r.ErrorMessage)
		}
	}
	alter(t, b, true, change{8, "1", "root", 0, ptr("ERROR"), 0, ""})
	if b.Loggers.Level(telemetry.RootLogger) != slog.LevelInfo {
		t.Error("validate-only changed a level")
	}
	alter(t, b, false, change{8, "1", "kafka.server.ReplicaManager", 0, ptr("TRACE"), 0, ""})
	if got := names(); !strings.Contains(got, "replica=TRACE") || !strings.Contains(got, "root=INFO") {
		t.Errorf("loggers: %s", got)
	}
	alter(t, b, false, change{8, "1", "replica", 1, nil, 0, ""})
	if got := names(); strings.Contains(got, "TRACE") {
		t.Errorf("loggers: %s", got)
	}
}

func cmpValue(v *string) *string {
	if v == nil {
		return ptr("null")
	}
	return v
}

func TestAlterConfigs(t *testing.T) {
	b, ctl := settingsBroker(t)
	req := kmsg.NewPtrAlterConfigsRequest()
	add := func(typ int8, name, key string, value *string) {
		req.Resources = append(req.Resources, kmsg.AlterConfigsRequestResource{ResourceType: kmsg.ConfigResourceType(typ), ResourceName: name,
			Configs: []kmsg.AlterConfigsRequestResourceConfig{{Name: key, Value: value}}})
	}
	add(2, "alpha", "retention.ms", ptr("1"))
	add(4, "1", "num.partitions", ptr("1"))
	add(8, "1", "root", ptr("INFO"))
	add(2, "beta", "retention.ms", nil)
	got := ask1[*kmsg.AlterConfigsResponse](t, b.handleAlterConfigs, req).Resources
	for i, want := range []wire.Code{wire.None, wire.InvalidRequest, wire.InvalidRequest, wire.InvalidRequest} {
		if wire.Code(got[i].ErrorCode) != want {
			t.Errorf("resource %d: %+v", i, got[i])
		}
	}
	if passed := ctl.asked[0].(*kmsg.AlterConfigsRequest); len(passed.Resources) != 1 || passed.Resources[0].ResourceName != "alpha" {
		t.Errorf("to the controller went %+v", passed.Resources)
	}
}

func TestListConfigResources(t *testing.T) {
	b, _ := settingsBroker(t)
	req := kmsg.NewPtrListConfigResourcesRequest()
	req.ResourceTypes = []int8{2, 16, 2}
	resp := ask1[*kmsg.ListConfigResourcesResponse](t, b.handleListConfigResources, req)
	if len(resp.ConfigResources) != 2 || resp.ConfigResources[0].Name != "alpha" || resp.ConfigResources[1].Type != 16 {
		t.Errorf("answer = %+v", resp)
	}
	req.ResourceTypes = []int8{99}
	if resp := ask1[*kmsg.ListConfigResourcesResponse](t, b.handleListConfigResources, req); wire.Code(resp.ErrorCode) != wire.UnsupportedVersion {
		t.Errorf("answer = %+v", resp)
	}
}

func TestDescribeClientQuotas(t *testing.T) {
	b, _ := settingsBroker(t)
	type filter = kmsg.DescribeClientQuotasRequestComponent
	for _, c := range []struct {
		name    string
		strict  bool
		filter  []filter
		entries int
		code    wire.Code
	}{
		{"all", false, nil, 2, 0},
		{"a user", false, []filter{{EntityType: "user", MatchType: 0, Match: ptr("alice")}}, 1, 0},
		{"the default user", false, []filter{{EntityType: "user", MatchType: 1}}, 1, 0},
		{"the default user, strictly", true, []filter{{EntityType: "user", MatchType: 1}}, 0, 0},
		{"any user", false, []filter{{EntityType: "user", MatchType: 2}}, 2, 0},
		{"any address", false, []filter{{EntityType: "ip", MatchType: 2}}, 0, 0},
		{"unknown type", false, []filter{{EntityType: "king", MatchType: 2}}, 0, wire.UnsupportedVersion},
		{"one type twice", false, []filter{{EntityType: "user", MatchType: 2}, {EntityType: "user", MatchType: 2}}, 0, wire.InvalidRequest},
		{"address and user", false, []filter{{EntityType: "user", MatchType: 2}, {EntityType: "ip", MatchType: 2}}, 0, wire.InvalidRequest},
		{"exactly nothing", false, []filter{{EntityType: "user", MatchType: 0}}, 0, wire.InvalidRequest},
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Strict, req.Components = c.strict, c.filter
		resp := ask1[*kmsg.DescribeClientQuotasResponse](t, b.handleDescribeClientQuotas, req)
		if len(resp.Entries) != c.entries || wire.Code(resp.ErrorCode) != c.code {
			t.Errorf("%s: %+v", c.name, resp)
		}
	}
}

func TestDescribeUserScramCredentialsShowsNoSecret(t *testing.T) {
	b, _ := settingsBroker(t)
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	resp := ask1[*kmsg.DescribeUserSCRAMCredentialsResponse](t, b.handleDescribeUserScramCredentials, req)
	if len(resp.Results) != 1 || resp.Results[0].User != "alice" || resp.Results[0].CredentialInfos[0].Iterations != 4096 {
		t.Errorf("answer = %+v", resp)
	}
	for _, u := range []string{"bob", "carl", "carl"} {
		req.Users = append(req.Users, kmsg.DescribeUserSCRAMCredentialsRequestUser{Name: u})
	}
	resp = ask1[*kmsg.DescribeUserSCRAMCredentialsResponse](t, b.handleDescribeUserScramCredentials, req)
	if len(resp.Results) != 2 || wire.Code(resp.Results[0].ErrorCode) != wire.ResourceNotFound || wire.Code(resp.Results[1].ErrorCode) != wire.DuplicateResource {
		t.Errorf("answer = %+v", resp)
	}
}

func TestDescribeACLsWithoutAuthorizer(t *testing.T) {
	b, _ := settingsBroker(t)
	req := kmsg.NewPtrDescribeACLsRequest()
	req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = 1, 1, 1, 1
	resp := ask1[*kmsg.DescribeACLsResponse](t, b.handleDescribeACLs, req)
	if wire.Code(resp.ErrorCode) != wire.SecurityDisabled || *resp.ErrorMessage != "No Authorizer is configured on the broker" {
		t.Errorf("answer = %+v", resp)
	}
	change := kmsg.NewPtrCreateACLsRequest()
	change.Creations = []kmsg.CreateACLsRequestCreation{{ResourceType: 2, ResourceName: "t", ResourcePatternType: 3, Principal: "User:a", Host: "*", Operation: 3, PermissionType: 3}}
	if resp := ask1[*kmsg.CreateACLsResponse](t, b.handleCreateACLs, change); len(resp.Results) != 1 || wire.Code(resp.Results[0].ErrorCode) != wire.SecurityDisabled {
		t.Errorf("answer = %+v", resp)
	}
}

func TestTelemetryRequests(t *testing.T) {
	b, _ := settingsBroker(t)
	sub := ask1[*kmsg.GetTelemetrySubscriptionsResponse](t, b.handleGetTelemetrySubscriptions, kmsg.NewPtrGetTelemetrySubscriptionsRequest())
	if sub.ErrorCode != 0 || sub.ClientInstanceID == [16]byte{} || sub.PushIntervalMillis != 300000 || sub.TelemetryMaxBytes != 1000 || len(sub.RequestedMetrics) != 0 {
		t.Errorf("answer = %+v", sub)
	}
	push := kmsg.NewPtrPushTelemetryRequest()
	push.ClientInstanceID, push.SubscriptionID = sub.ClientInstanceID, sub.SubscriptionID+1
	if resp := ask1[*kmsg.PushTelemetryResponse](t, b.handlePushTelemetry, push); wire.Code(resp.ErrorCode) != wire.UnknownSubscriptionId {
		t.Errorf("answer = %+v", resp)
	}
}

func TestTelemetryIsAdvertisedOnlyWhenOn(t *testing.T) {
	b, _ := settingsBroker(t)
	count := func() (n int) {
		for _, r := range b.Routes() {
			if r.Key == 71 || r.Key == 72 {
				n++
			}
		}
		return n
	}
	on := count()
	b.ClientMetrics = nil
	if off := count(); on != 2 || off != 0 {
		t.Errorf("%d routes when on, %d when off", on, off)
	}
}

func TestFailureCarriesCodeAndText(t *testing.T) {
	err := failure(wire.InvalidConfig, "no")
	var c wire.Code
	if !errors.As(err, &c) || c != wire.InvalidConfig || message(err) != "no" || messagePtr(wire.InvalidConfig) != nil {
		t.Errorf("err = %v", err)
	}
}
