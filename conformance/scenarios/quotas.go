package scenarios

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// quotaEntry sets a quota of an entity, given as type, name, type, name; the name "<default>" is the default entity's.
func quotaEntry(entity []string, key string, value float64) kmsg.AlterClientQuotasRequestEntry {
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for i := 0; i+1 < len(entity); i += 2 {
		p := kmsg.NewAlterClientQuotasRequestEntryEntity()
		p.Type = entity[i]
		if name := entity[i+1]; name != "<default>" {
			p.Name = &name
		}
		e.Entity = append(e.Entity, p)
	}
	if key != "" {
		op := kmsg.NewAlterClientQuotasRequestEntryOp()
		op.Key, op.Value, op.Remove = key, value, math.IsInf(value, -1)
		if op.Remove {
			op.Value = 0
		}
		e.Ops = append(e.Ops, op)
	}
	return e
}

// gone as a value takes a quota away.
var gone = math.Inf(-1)

func setQuota(s *script.Session, entity []string, key string, value float64) {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Entries = append(req.Entries, quotaEntry(entity, key, value))
	s.Quiet(1, req)
}

func quotas(s *script.Session) {
	each(s, kmsg.AlterClientQuotas, func(v int16) { alterQuotas(s, v) })
	seen := func(want int) func() bool {
		return func() bool {
			resp, ok := s.Quiet(1, kmsg.NewPtrDescribeClientQuotasRequest()).(*kmsg.DescribeClientQuotasResponse)
			return ok && len(resp.Entries) == want
		}
	}
	s.Until("no quotas", seen(0))
	entities := [][]string{
		{"user", "alice"}, {"user", "<default>"}, {"user", "alice", "client-id", "app"}, {"client-id", "app", "user", "<default>"},
		{"user", "alice", "client-id", "<default>"}, {"user", "<default>", "client-id", "<default>"}, {"client-id", "app"},
		{"client-id", "<default>"}, {"ip", "10.1.2.3"}, {"ip", "<default>"}, {"user", "CN=a b/*%,O=ü"}, {"client-id", "<DEFAULT>"},
	}
	for i, e := range entities {
		key := "producer_byte_rate"
		if e[0] == "ip" {
			key = "connection_creation_rate"
		}
		// High ones: this scenario is about the book-keeping.
		setQuota(s, e, key, float64(1_000_000_000+i))
	}
	setQuota(s, []string{"user", "alice"}, "request_percentage", 12345.5)
	s.Until("quotas", seen(len(entities)))
	each(s, kmsg.DescribeClientQuotas, func(v int16) { describeQuotas(s, v) })
	for _, e := range entities {
		key := "producer_byte_rate"
		if e[0] == "ip" {
			key = "connection_creation_rate"
		}
		setQuota(s, e, key, gone)
	}
	setQuota(s, []string{"user", "alice"}, "request_percentage", gone)
	s.Until("no quotas are left", seen(0))
}

// alterQuotas tries what is right and what is not, leaving nothing.
func alterQuotas(s *script.Session, v int16) {
	ask := func(label string, dry bool, entries ...kmsg.AlterClientQuotasRequestEntry) {
		req := kmsg.NewPtrAlterClientQuotasRequest()
		req.Entries, req.ValidateOnly = entries, dry
		resp, ok := s.Quiet(v, req).(*kmsg.AlterClientQuotasResponse)
		if !ok {
			s.Note("alter "+label, "no answer")
			return
		}
		slices.SortFunc(resp.Entries, func(a, b kmsg.AlterClientQuotasResponseEntry) int {
			return strings.Compare(alteredText(&a), alteredText(&b))
		})
		s.Record("alter "+label+" v"+strconv.Itoa(int(v)), resp)
	}
	alice, big := []string{"user", "alice"}, 1e9
	ask("nothing", false)
	ask("dry", true, quotaEntry(alice, "producer_byte_rate", big))
	ask("a user", false, quotaEntry(alice, "producer_byte_rate", big))
	ask("a user, the same again", false, quotaEntry(alice, "producer_byte_rate", big))
	ask("a user, gone", false, quotaEntry(alice, "producer_byte_rate", gone))
	ask("a user, gone again", false, quotaEntry(alice, "producer_byte_rate", gone))
	ask("no operations", false, quotaEntry(alice, "", 0))
	for _, c := range []struct {
		label  string
		entity []string
		key    string
		value  float64
	}{
		{"no entity", nil, "producer_byte_rate", big},
		{"unknown type", []string{"planet", "x"}, "producer_byte_rate", big},
		{"empty type", []string{"", "x"}, "producer_byte_rate", big},
		{"empty name", []string{"user", ""}, "producer_byte_rate", big},
		{"empty client", []string{"client-id", ""}, "producer_byte_rate", big},
		{"twice the same type", []string{"user", "a", "user", "b"}, "producer_byte_rate", big},
		{"address and user", []string{"ip", "1.2.3.4", "user", "a"}, "connection_creation_rate", big},
		{"address that is none", []string{"ip", "1.2.3.4.5.6"}, "connection_creation_rate", 10},
		{"host that is none", []string{"ip", "host.invalid"}, "connection_creation_rate", 10},
		{"empty address", []string{"ip", ""}, "connection_creation_rate", 10},
		{"key of another type", []string{"ip", "1.2.3.4"}, "producer_byte_rate", big},
		{"address rate for a user", alice, "connection_creation_rate", 10},
		{"unknown key", alice, "bogus", big},
		{"unknown key, gone", alice, "bogus", gone},
		{"empty key", alice, "", big},
		{"zero", alice, "producer_byte_rate", 0},
		{"negative", alice, "producer_byte_rate", -1},
		{"fraction of bytes", alice, "consumer_byte_rate", 1.5},
		{"hair's breadth", alice, "consumer_byte_rate", 1000.0000001},
		{"more than a long", alice, "producer_byte_rate", 1e30},
		{"not a number", alice, "producer_byte_rate", math.NaN()},
		{"endless", alice, "request_percentage", math.Inf(1)},
		{"fraction of connections", []string{"ip", "1.2.3.4"}, "connection_creation_rate", 1.5},
		{"more connections than an int", []string{"ip", "1.2.3.4"}, "connection_creation_rate", 1e10},
		{"connections zero", []string{"ip", "1.2.3.4"}, "connection_creation_rate", 0},
		{"SCRAM", alice, "SCRAM-SHA-256", 1},
		{"mutations zero", alice, "controller_mutation_rate", 0},
	} {
		e := quotaEntry(c.entity, c.key, c.value)
		if c.key == "" {
			op := kmsg.NewAlterClientQuotasRequestEntryOp()
			op.Value = c.value
			e.Ops = append(e.Ops, op)
		}
		ask("wrong: "+c.label, true, e)
	}
	twice := quotaEntry(alice, "producer_byte_rate", big)
	twice.Ops = append(twice.Ops, twice.Ops[0])
	ask("wrong: twice the same key", true, twice)
	ask("right and wrong", false, quotaEntry([]string{"client-id", "c"}, "consumer_byte_rate", big), quotaEntry(alice, "bogus", 1), quotaEntry([]string{"ip", "host.invalid"}, "connection_creation_rate", 1),
		quotaEntry([]string{"user", "<default>"}, "controller_mutation_rate", 1234.5))
	ask("one of them gone", false, quotaEntry([]string{"client-id", "c"}, "consumer_byte_rate", gone), quotaEntry([]string{"user", "<default>"}, "controller_mutation_rate", gone))
	ask("the same entity twice", false, quotaEntry(alice, "producer_byte_rate", big), quotaEntry(alice, "consumer_byte_rate", big))
	ask("both gone", false, quotaEntry(alice, "producer_byte_rate", gone), quotaEntry(alice, "consumer_byte_rate", gone))
}

// alteredText orders an answer, since Kafka's has no order.
func alteredText(e *kmsg.AlterClientQuotasResponseEntry) string {
	var out strings.Builder
	for _, p := range e.Entity {
		out.WriteString(p.Type + "=")
		if p.Name != nil {
			out.WriteString("'" + *p.Name)
		}
		out.WriteString(";")
	}
	return out.String()
}

const (
	exactly    = kmsg.QuotasMatchTypeExact
	theDefault = kmsg.QuotasMatchTypeDefault
	anyOf      = kmsg.QuotasMatchTypeAny
)

func component(kind string, match kmsg.QuotasMatchType, name *string) kmsg.DescribeClientQuotasRequestComponent {
	c := kmsg.NewDescribeClientQuotasRequestComponent()
	c.EntityType, c.MatchType, c.Match = kind, match, name
	return c
}

func describeQuotas(s *script.Session, v int16) {
	user, app := component("user", exactly, ptr("alice")), component("client-id", exactly, ptr("app"))
	for label, filter := range inOrder(map[string][]kmsg.DescribeClientQuotasRequestComponent{
		"everything": nil, "a user": {user}, "a client": {app}, "both": {user, app}, "both the other way": {app, user},
		"the default user": {component("user", theDefault, nil)}, "any user": {component("user", anyOf, nil)}, "any client": {component("client-id", anyOf, nil)},
		"any user and any client": {component("user", anyOf, nil), component("client-id", anyOf, nil)}, "a user and the default client": {user, component("client-id", theDefault, nil)},
		"an address": {component("ip", exactly, ptr("10.1.2.3"))}, "the default address": {component("ip", theDefault, nil)}, "any address": {component("ip", anyOf, nil)},
		"a name to be escaped": {component("user", exactly, ptr("CN=a b/*%,O=ü"))}, "a client named as the default": {component("client-id", exactly, ptr("<DEFAULT>"))},
		"nobody": {component("user", exactly, ptr("nobody"))}, "an empty name": {component("user", exactly, ptr(""))},
		"wrong: exact without a name": {component("user", exactly, nil)}, "wrong: default with a name": {component("user", theDefault, ptr("x"))}, "wrong: any with a name": {component("user", anyOf, ptr("x"))},
		"wrong: no type": {component("", anyOf, nil)}, "wrong: unknown type": {component("planet", anyOf, nil)}, "wrong: twice": {user, user}, "wrong: address and user": {component("ip", anyOf, nil), user},
		"wrong: match type": {component("user", 9, nil)}, "wrong: negative match type": {component("user", -1, nil)},
	}) {
		for _, strict := range []bool{false, true} {
			req := kmsg.NewPtrDescribeClientQuotasRequest()
			req.Components, req.Strict = filter, strict
			resp, ok := s.Quiet(v, req).(*kmsg.DescribeClientQuotasResponse)
			name := label + " strict=" + strconv.FormatBool(strict) + " v" + strconv.Itoa(int(v))
			if !ok {
				s.Note(name, "no answer")
				continue
			}
			inOrderOfText(resp)
			s.Record("describe "+name, resp)
		}
	}
}

// inOrderOfText sorts a description, since Kafka's has no order.
func inOrderOfText(resp *kmsg.DescribeClientQuotasResponse) {
	text := func(e *kmsg.DescribeClientQuotasResponseEntry) string {
		var out strings.Builder
		for _, p := range e.Entity {
			out.WriteString(p.Type + "=")
			if p.Name != nil {
				out.WriteString("'" + *p.Name)
			}
			out.WriteString(";")
		}
		return out.String()
	}
	for i := range resp.Entries {
		e := &resp.Entries[i]
		slices.SortFunc(e.Entity, func(a, b kmsg.DescribeClientQuotasResponseEntryEntity) int { return strings.Compare(a.Type, b.Type) })
		slices.SortFunc(e.Values, func(a, b kmsg.DescribeClientQuotasResponseEntryValue) int { return strings.Compare(a.Key, b.Key) })
	}
	slices.SortFunc(resp.Entries, func(a, b kmsg.DescribeClientQuotasResponseEntry) int { return strings.Compare(text(&a), text(&b)) })
}
