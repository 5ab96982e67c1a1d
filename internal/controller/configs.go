package controller

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// maxConfigValue bounds the length of one value, as in Kafka.
const maxConfigValue = 32767

// alteration is what one request does to one resource, whichever API it came by.
type alteration struct {
	resource image.ConfigResource
	next     map[string]string
	changed  []string // names in the order of the records
}

// incrementalAlterConfigs answers IncrementalAlterConfigs v0 and v1 (KIP-339). Broker loggers are the broker's own
// business and do not come here.
func (c *Controller) incrementalAlterConfigs(_ RequestContext, req *kmsg.IncrementalAlterConfigsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	duplicates := map[image.ConfigResource]int{}
	for _, r := range req.Resources {
		duplicates[image.ConfigResource{Type: image.ConfigType(r.ResourceType), Name: r.ResourceName}]++
	}
	var records []mr.Versioned
	for _, r := range req.Resources {
		res := image.ConfigResource{Type: image.ConfigType(r.ResourceType), Name: r.ResourceName}
		var recs []mr.Versioned
		err := duplicateResource(res)
		if duplicates[res] == 1 {
			recs, err = c.incremental(res, r.Configs)
		}
		out := kmsg.NewIncrementalAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		out.ErrorCode, out.ErrorMessage = errorFields(err)
		resp.Resources = append(resp.Resources, out)
		records = append(records, recs...)
	}
	if req.ValidateOnly {
		records = nil
	}
	c.mayAllowUnclean(records)
	return decision{answer: resp, records: records}, nil
}

// mayAllowUnclean has partitions without a leader looked at after settings that may allow them one.
func (c *Controller) mayAllowUnclean(records []mr.Versioned) {
	for _, r := range records {
		if cr, ok := r.Record.(*mr.ConfigRecord); ok && cr.Name == uncleanKey {
			c.uncleanSoon()
			return
		}
	}
}

func duplicateResource(image.ConfigResource) error {
	return refuse(wire.InvalidRequest, "Each resource must appear at most once.")
}

func (c *Controller) incremental(res image.ConfigResource, ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) ([]mr.Versioned, error) {
	if err := c.checkResource(res); err != nil {
		return nil, err
	}
	now := c.state.Config(res.Type, res.Name)
	a := alteration{resource: res, next: maps.Clone(now)}
	if a.next == nil {
		a.next = map[string]string{}
	}
	if err := checkOps(ops); err != nil {
		return nil, err
	}
	for _, op := range ops {
		if err := c.apply(&a, op); err != nil {
			return nil, err
		}
	}
	return c.finishAlteration(now, &a)
}

// checkOps refuses names that stand twice and values that are missing, with all offenders in one sentence.
func checkOps(ops []kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	seen := map[string]int{}
	var twice, null []string
	for _, op := range ops {
		if seen[op.Name]++; seen[op.Name] == 2 {
			twice = append(twice, op.Name)
		}
		if op.Op != kmsg.IncrementalAlterConfigOpDelete && op.Value == nil {
			null = append(null, op.Name)
		}
	}
	if len(twice) > 0 {
		return refuse(wire.InvalidRequest, "Error due to duplicate config keys")
	}
	if len(null) > 0 {
		return refuse(wire.InvalidRequest, "Null value not supported for : %s", strings.Join(null, ", "))
	}
	return nil
}

// apply does one operation to the set.
func (c *Controller) apply(a *alteration, op kmsg.IncrementalAlterConfigsRequestResourceConfig) error {
	switch op.Op {
	case kmsg.IncrementalAlterConfigOpSet:
		a.next[op.Name] = *op.Value
	case kmsg.IncrementalAlterConfigOpDelete:
		delete(a.next, op.Name)
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		def := lookup(a.resource.Type, op.Name)
		if def == nil || def.Type != config.List {
			return refuse(wire.InvalidConfig, "Can't %s to key %s because its type is not LIST.", opName(op.Op), op.Name)
		}
		a.next[op.Name] = changeList(c.listValue(a, op.Name), op)
	default:
		return refuse(wire.InvalidRequest, "Unknown operation type %d", op.Op)
	}
	a.changed = append(a.changed, op.Name)
	return nil
}

func opName(op kmsg.IncrementalAlterConfigOp) string {
	if op == kmsg.IncrementalAlterConfigOpAppend {
		return "APPEND"
	}
	return "SUBTRACT"
}

// listValue is the list that APPEND and SUBTRACT start from: what was set on the resource, else the default.
func (c *Controller) listValue(a *alteration, name string) []string {
	v, ok := a.next[name]
	if !ok {
		v = c.defaultText(a.resource.Type, name)
	}
	if strings.TrimSpace(v) == "" {
		return nil
	}
	parts := strings.Split(v, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

func (c *Controller) defaultText(t image.ConfigType, name string) string {
	entries := []config.Entry(nil)
	switch t {
	case image.TopicConfig:
		entries = c.settings().DescribeTopic(nil, []string{name})
	case image.GroupConfig:
		entries = c.settings().DescribeGroup(nil, []string{name})
	case image.BrokerConfig:
		return c.settings().Text(name)
	case image.ClientMetricsConfig:
		entries = config.DescribeClientMetrics(nil, []string{name})
	}
	for _, e := range entries {
		if e.Name == name && e.Value != nil {
			return *e.Value
		}
	}
	return ""
}

func changeList(list []string, op kmsg.IncrementalAlterConfigsRequestResourceConfig) string {
	for _, v := range strings.Split(*op.Value, ",") {
		v = strings.TrimSpace(v)
		at := slices.Index(list, v)
		switch {
		case op.Op == kmsg.IncrementalAlterConfigOpAppend && at < 0:
			list = append(list, v)
		case op.Op == kmsg.IncrementalAlterConfigOpSubtract && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

// alterConfigs answers AlterConfigs v0 to v2: what is not named is unset.
func (c *Controller) alterConfigs(_ RequestContext, req *kmsg.AlterConfigsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
	duplicates := map[image.ConfigResource]int{}
	for _, r := range req.Resources {
		duplicates[image.ConfigResource{Type: image.ConfigType(r.ResourceType), Name: r.ResourceName}]++
	}
	var records []mr.Versioned
	for _, r := range req.Resources {
		res := image.ConfigResource{Type: image.ConfigType(r.ResourceType), Name: r.ResourceName}
		var recs []mr.Versioned
		err := duplicateResource(res)
		if duplicates[res] == 1 {
			recs, err = c.replace(res, r.Configs)
		}
		out := kmsg.NewAlterConfigsResponseResource()
		out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
		out.ErrorCode, out.ErrorMessage = errorFields(err)
		resp.Resources = append(resp.Resources, out)
		records = append(records, recs...)
	}
	if req.ValidateOnly {
		records = nil
	}
	c.mayAllowUnclean(records)
	return decision{answer: resp, records: records}, nil
}

func (c *Controller) replace(res image.ConfigResource, entries []kmsg.AlterConfigsRequestResourceConfig) ([]mr.Versioned, error) {
	if err := c.checkResource(res); err != nil {
		return nil, err
	}
	now := c.state.Config(res.Type, res.Name)
	a := alteration{resource: res, next: map[string]string{}}
	for _, e := range entries {
		if e.Value == nil {
			return nil, refuse(wire.InvalidRequest, "Null value not supported for : %s", e.Name)
		}
		if _, twice := a.next[e.Name]; twice {
			return nil, refuse(wire.InvalidRequest, "Error due to duplicate config keys")
		}
		a.next[e.Name] = *e.Value
		a.changed = append(a.changed, e.Name)
	}
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if _, ok := a.next[name]; !ok {
			a.changed = append(a.changed, name)
		}
	}
	return c.finishAlteration(now, &a)
}

// finishAlteration checks the set as a whole and makes the records.
func (c *Controller) finishAlteration(now map[string]string, a *alteration) ([]mr.Versioned, error) {
	if err := c.checkConfigSizes(a.next); err != nil {
		return nil, err
	}
	if err := c.checkMinISR(now, a); err != nil {
		return nil, err
	}
	if err := c.validateConfig(a.resource.Type, a.resource.Name, now, a.next); err != nil {
		return nil, err
	}
	var records []mr.Versioned
	for _, name := range a.changed {
		value, set := a.next[name]
		old, had := now[name]
		if set == had && value == old && a.resource.Type != image.BrokerConfig {
			continue // a broker is told again, so that it reads key stores anew
		}
		r := &mr.ConfigRecord{ResourceType: int8(a.resource.Type), ResourceName: a.resource.Name, Name: name}
		if set {
			r.Value = &value
		}
		records = append(records, mr.V0(r))
		if name == minISRKey && c.state.ELREnabled() && a.resource.Type != image.BrokerConfig {
			records = append(records, mr.V0(&mr.ClearElrRecord{TopicName: a.resource.Name}))
		} else if name == minISRKey && c.state.ELREnabled() && a.resource.Name == "" {
			records = append(records, mr.V0(&mr.ClearElrRecord{}))
		}
	}
	return records, nil
}

const minISRKey = "min.insync.replicas"

// checkMinISR keeps min.insync.replicas where the controller sees it while eligible leader replicas are kept.
func (c *Controller) checkMinISR(now map[string]string, a *alteration) error {
	if !c.state.ELREnabled() || a.resource.Type != image.BrokerConfig || !slices.Contains(a.changed, minISRKey) {
		return nil
	}
	_, set := a.next[minISRKey]
	switch {
	case a.resource.Name != "":
		if _, had := now[minISRKey]; had && !set {
			return nil
		}
		return refuse(wire.InvalidConfig, "Broker-level min.insync.replicas cannot be altered while ELR is enabled.")
	case !set:
		return refuse(wire.InvalidConfig, "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.")
	}
	return nil
}

func (c *Controller) checkConfigSizes(configs map[string]string) error {
	for _, v := range configs {
		if len(v) > maxConfigValue {
			return refuse(wire.InvalidConfig, "The configuration value cannot be added because it exceeds the maximum value size of %d bytes.", maxConfigValue)
		}
	}
	return nil
}

// checkResource refuses what has no configuration, or does not exist.
func (c *Controller) checkResource(res image.ConfigResource) error {
	switch res.Type {
	case image.TopicConfig:
		if res.Name == "" {
			return refuse(wire.InvalidRequest, "Default topic resources are not allowed.")
		}
		if err := validateTopicName(res.Name); err != nil {
			return err
		}
		if c.state.TopicByName(res.Name) == nil {
			return refuse(wire.UnknownTopicOrPartition, "The topic '%s' does not exist.", res.Name)
		}
	case image.BrokerConfig:
		if res.Name == "" {
			return nil
		}
		id, err := strconv.ParseInt(res.Name, 10, 32)
		if err != nil {
			return refuse(wire.InvalidRequest, "Node id must be an integer, but it is: %s", res.Name)
		}
		if id < 0 {
			return refuse(wire.InvalidRequest, "Invalid negative broker ID.")
		}
		if c.state.Broker(int32(id)) == nil && !c.isController(int32(id)) {
			return refuse(wire.BrokerIdNotRegistered, "No node with id %d found.", id)
		}
	case image.ClientMetricsConfig:
		if res.Name == "" {
			return refuse(wire.InvalidRequest, "Subscription name can't be empty")
		}
	case image.GroupConfig:
		if res.Name == "" {
			return refuse(wire.InvalidRequest, "Default group resources are not allowed.")
		}
	default:
		return refuse(wire.InvalidRequest, "Unknown resource type %d", res.Type)
	}
	return nil
}

func (c *Controller) isController(id int32) bool {
	return id == c.cfg.NodeID || slices.ContainsFunc(c.state.Controllers(), func(k *image.Controller) bool { return k.ID == id })
}

// validateConfig asks the settings' own rules about the set that a resource is to have.
func (c *Controller) validateConfig(t image.ConfigType, name string, old, next map[string]string) error {
	s := c.settings()
	var err error
	switch t {
	case image.TopicConfig:
		err = s.ValidateTopic(old, next)
	case image.BrokerConfig:
		// Another broker has other settings and has judged the change itself, if it was asked.
		if name == "" || name == strconv.Itoa(int(c.cfg.NodeID)) {
			err = s.ValidateBroker(next, name != "")
		} else {
			err = config.CheckBroker(next, true)
		}
	case image.GroupConfig:
		err = s.ValidateGroup(next)
	case image.ClientMetricsConfig:
		_, err = config.ParseClientMetrics(next)
	}
	if err == nil {
		return nil
	}
	var coded wire.Code
	if errors.As(err, &coded) {
		return refuse(coded, "%s", err)
	}
	if t == image.BrokerConfig || t == image.ClientMetricsConfig {
		return refuse(wire.InvalidRequest, "%s", err)
	}
	return refuse(wire.InvalidConfig, "%s", err)
}

// lookup finds the declaration of a setting.
func lookup(t image.ConfigType, name string) *config.Def {
	switch t {
	case image.TopicConfig:
		return config.LookupTopic(name)
	case image.BrokerConfig:
		return config.LookupBroker(name)
	case image.GroupConfig:
		return config.LookupGroup(name)
	case image.ClientMetricsConfig:
		defs := config.ClientMetricsDefs()
		for i := range defs {
			if defs[i].Name == name {
				return &defs[i]
			}
		}
	}
	return nil
}
