package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/security/authz"
)

// resourcePattern is what rules are about, or a filter of that.
type resourcePattern struct {
	kind    authz.ResourceType
	name    string
	pattern authz.PatternType
}

// aclEntry is who may or may not do what from where.
type aclEntry struct {
	principal, host string
	operation       authz.Operation
	permission      authz.Permission
}

// resourceRules are the rules about one resource.
type resourceRules struct {
	resource resourcePattern
	entries  []aclEntry
}

// String is the form of Kafka's tools.
func (r resourcePattern) String() string {
	return fmt.Sprintf("ResourcePattern(resourceType=%s, name=%s, patternType=%s)", r.kind, r.name, r.pattern)
}

func (r resourcePattern) compare(o resourcePattern) int {
	return cmp.Or(cmp.Compare(r.kind, o.kind), strings.Compare(r.name, o.name), cmp.Compare(r.pattern, o.pattern))
}

// String is the form of Kafka's tools.
func (e aclEntry) String() string {
	return fmt.Sprintf("(principal=%s, host=%s, operation=%s, permissionType=%s)", e.principal, e.host, e.operation, e.permission)
}

func (e aclEntry) compare(o aclEntry) int {
	return cmp.Or(strings.Compare(e.principal, o.principal), strings.Compare(e.host, o.host),
		cmp.Compare(e.operation, o.operation), cmp.Compare(e.permission, o.permission))
}

// lines are the entries, one in a line. Kafka's order is that of its objects in memory; this one stays.
func (r resourceRules) lines() string {
	var lines []string
	for _, e := range r.entries {
		lines = append(lines, "\t"+e.String())
	}
	return strings.Join(lines, "\n")
}

// sortRules puts rules in order and takes out what is there twice.
func sortRules(rules []resourceRules) {
	for i := range rules {
		slices.SortFunc(rules[i].entries, aclEntry.compare)
		rules[i].entries = slices.Compact(rules[i].entries)
	}
	slices.SortFunc(rules, func(a, b resourceRules) int { return a.resource.compare(b.resource) })
}

// patternType is the value of --resource-pattern-type.
func (t *aclsTool) patternType() (authz.PatternType, error) {
	if err := onlyOnce(t.pattern); err != nil {
		return 0, err
	}
	for p := authz.AnyPattern; p <= authz.Prefixed; p++ {
		if strings.EqualFold(t.pattern.Value(), p.String()) {
			return p, nil
		}
	}
	return 0, &client.Error{Class: "joptsimple.OptionArgumentConversionException",
		Message: "Cannot parse argument '" + t.pattern.Value() + "' of option " + t.pattern.Name}
}

// resources are the resources that the command line names, in order and each once.
func (t *aclsTool) resources(pattern authz.PatternType) []resourcePattern {
	var out []resourcePattern
	for _, f := range []struct {
		flag *kafkaflag.Flag
		kind authz.ResourceType
	}{{t.topic, authz.Topic}, {t.group, authz.Group}, {t.transactionalID, authz.TransactionalID},
		{t.delegationToken, authz.DelegationToken}, {t.userPrincipal, authz.User}} {
		for _, name := range f.flag.Values() {
			out = append(out, resourcePattern{f.kind, strings.TrimSpace(name), pattern})
		}
	}
	if pattern == authz.Literal && (t.cluster.Present() || t.idempotent.Present()) {
		out = append(out, wholeCluster)
	}
	slices.SortFunc(out, resourcePattern.compare)
	return slices.Compact(out)
}

var wholeCluster = resourcePattern{authz.Cluster, authz.ClusterName, authz.Literal}

// rules are the rules that the command line describes.
func (t *aclsTool) rules(pattern authz.PatternType) ([]resourceRules, error) {
	resources := t.resources(pattern)
	if len(resources) == 0 {
		return nil, t.set.UsageErrorf("You must provide at least one resource: --topic <topic> or --cluster or --group <group> or --delegation-token <Delegation Token ID>")
	}
	var out []resourceRules
	var err error
	if t.producer.Present() || t.consumer.Present() {
		out, err = t.convenience(resources)
	} else {
		var entries []aclEntry
		entries, err = t.entries(operationsOf(t.operation)...)
		for _, r := range resources {
			out = append(out, resourceRules{r, slices.Clone(entries)})
		}
	}
	if err != nil {
		return nil, err
	}
	sortRules(out)
	return out, t.checkOperations(out)
}

// convenience are the rules of --producer and --consumer.
func (t *aclsTool) convenience(resources []resourcePattern) ([]resourceRules, error) {
	needs := map[authz.ResourceType][]authz.Operation{}
	if t.producer.Present() {
		needs[authz.Topic] = append(needs[authz.Topic], authz.Write, authz.Describe, authz.Create)
		needs[authz.TransactionalID] = append(needs[authz.TransactionalID], authz.Write, authz.Describe)
		if t.idempotent.Present() {
			needs[authz.Cluster] = append(needs[authz.Cluster], authz.IdempotentWrite)
			if !slices.Contains(resources, wholeCluster) { // names are prefixes, but the cluster's is its name
				resources = append(resources, wholeCluster)
			}
		}
	}
	if t.consumer.Present() {
		needs[authz.Topic] = append(needs[authz.Topic], authz.Read, authz.Describe)
		needs[authz.Group] = append(needs[authz.Group], authz.Read)
	}
	var out []resourceRules
	for _, r := range resources {
		if len(needs[r.kind]) == 0 {
			continue
		}
		entries, err := t.entries(needs[r.kind]...)
		if err != nil {
			return nil, err
		}
		out = append(out, resourceRules{r, entries})
	}
	return out, nil
}

// operationsOf are the operations of a flag; names that Kafka does not have come out as number 0, UNKNOWN.
func operationsOf(f *kafkaflag.Flag) (out []authz.Operation) {
	for _, name := range f.Values() {
		plain := strings.ToUpper(strings.TrimSpace(name))
		op := authz.TwoPhaseCommit
		for op > 0 && strings.ReplaceAll(op.String(), "_", "") != plain {
			op--
		}
		out = append(out, op)
	}
	return out
}

// entries are who may and may not do the operations.
func (t *aclsTool) entries(operations ...authz.Operation) (out []aclEntry, err error) {
	for _, side := range []struct {
		principals, hosts *kafkaflag.Flag
		permission        authz.Permission
	}{{t.allowPrincipal, t.allowHost, authz.Allow}, {t.denyPrincipal, t.denyHost, authz.Deny}} {
		principals, err := principalsOf(side.principals)
		if err != nil {
			return nil, err
		}
		hosts := []string{authz.Wildcard}
		if side.hosts.Present() {
			hosts = side.hosts.Values()
		}
		for _, p := range principals {
			for _, h := range hosts {
				for _, op := range operations {
					if op == authz.AnyOperation {
						return nil, client.IllegalArgument("operation must not be ANY")
					}
					out = append(out, aclEntry{p, strings.TrimSpace(h), op, side.permission})
				}
			}
		}
	}
	return out, nil
}

// principalsOf are the principals of a flag, each once, in order.
func principalsOf(f *kafkaflag.Flag) (out []string, err error) {
	for _, v := range f.Values() {
		v = strings.TrimSpace(v)
		if !strings.Contains(v, ":") {
			return nil, client.IllegalArgument("expected a string in format principalType:principalName but got " + v)
		}
		out = append(out, v)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// checkOperations refuses operations that make no sense for a resource.
func (t *aclsTool) checkOperations(rules []resourceRules) error {
	for _, r := range rules {
		valid := append([]authz.Operation{authz.All}, authz.SupportedOperations(r.resource.kind)...)
		for _, e := range r.entries {
			if slices.Contains(valid, e.operation) {
				continue
			}
			var names []string
			for _, op := range valid {
				names = append(names, op.String())
			}
			return t.set.UsageErrorf("ResourceType %s only supports operations [%s]", r.resource.kind, strings.Join(names, ", "))
		}
	}
	return nil
}
