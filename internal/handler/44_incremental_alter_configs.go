package handler

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// IncrementalAlterConfigs, versions 0 and 1 (KIP-339); 1 is flexible.
//
// What only this broker can judge is judged here: its loggers, which are changed at once and forgotten at a
// restart (KIP-412), and its own dynamic settings. The rest goes to the controller, which checks again.
func (b *Broker) handleIncrementalAlterConfigs(r *wire.Request) {
	b.incrementalAlterConfigs(r, b.validateBrokerSettings)
}

// handleControllerIncrementalAlterConfigs answers on a controller's listener, where any broker may be named: that broker
// has judged its settings before it forwarded them, or was not asked (--bootstrap-controller).
func (b *Broker) handleControllerIncrementalAlterConfigs(r *wire.Request) {
	b.incrementalAlterConfigs(r, b.validateSettingsOfAny)
}

func (b *Broker) incrementalAlterConfigs(r *wire.Request, validate brokerValidator) {
	req := r.Body.(*kmsg.IncrementalAlterConfigsRequest)
	errs := make([]error, len(req.Resources))
	done := make([]bool, len(req.Resources))
	pass := kmsg.NewPtrIncrementalAlterConfigsRequest()
	pass.Version, pass.ValidateOnly = req.Version, req.ValidateOnly
	twice := repeated(len(req.Resources), func(i int) configResource {
		return configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
	})
	for i := range req.Resources {
		res := &req.Resources[i]
		if twice[i] {
			errs[i], done[i] = failure(wire.InvalidRequest, "Each resource must appear at most once."), true
			continue
		}
		if done[i], errs[i] = b.prepareIncremental(r, res, req.ValidateOnly, validate); !done[i] && errs[i] == nil {
			pass.Resources = append(pass.Resources, *res)
		}
	}
	answer := func(out map[configResource]kmsg.IncrementalAlterConfigsResponseResource) {
		resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
		for i := range req.Resources {
			res := kmsg.NewIncrementalAlterConfigsResponseResource()
			key := configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
			switch from, ok := out[key]; {
			case errs[i] != nil:
				res.ErrorCode, res.ErrorMessage = int16(wire.CodeOf(errs[i])), messagePtr(errs[i])
			case done[i]:
			case ok:
				res = from
			default:
				res.ErrorCode = int16(wire.UnknownServerError)
			}
			res.ResourceType, res.ResourceName = key.t, key.name
			resp.Resources = append(resp.Resources, res)
		}
		r.Reply(resp)
	}
	if len(pass.Resources) == 0 {
		answer(nil)
		return
	}
	b.ask(r, pass, func(resp kmsg.Response) {
		out := map[configResource]kmsg.IncrementalAlterConfigsResponseResource{}
		for _, res := range resp.(*kmsg.IncrementalAlterConfigsResponse).Resources {
			out[configResource{res.ResourceType, res.ResourceName}] = res
		}
		answer(out)
	})
}

type configResource struct {
	t    kmsg.ConfigResourceType
	name string
}

// repeated tells of n things which ones occur more than once.
func repeated(n int, key func(int) configResource) []bool {
	count := make(map[configResource]int, n)
	for i := range n {
		count[key(i)]++
	}
	out := make([]bool, n)
	for i := range n {
		out[i] = count[key(i)] > 1
	}
	return out
}

// prepareIncremental judges one resource. Without error it is either done here or to be forwarded.
func (b *Broker) prepareIncremental(r *wire.Request, res *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool, validate brokerValidator) (done bool, err error) {
	names := make([]string, len(res.Configs))
	var null []string
	for i, c := range res.Configs {
		names[i] = c.Name
		if c.Op != kmsg.IncrementalAlterConfigOpDelete && c.Value == nil {
			null = append(null, c.Name)
		}
	}
	t := config.ResourceType(res.ResourceType)
	if err := checkConfigKeys(names, null, t); err != nil {
		return false, err
	}
	if err := b.mayConfigure(r, authz.AlterConfigs, t, res.ResourceName); err != nil {
		return false, err
	}
	switch t {
	case config.ResourceBrokerLogger:
		return true, b.alterLoggers(res, validateOnly)
	case config.ResourceBroker:
		settings, err := b.incremented(res)
		if err != nil {
			return false, err
		}
		return false, validate(res.ResourceName, settings)
	}
	return false, nil
}

// checkConfigKeys holds what is the same for both ways to alter.
func checkConfigKeys(names, null []string, t config.ResourceType) error {
	seen := map[string]bool{}
	for _, n := range names {
		if seen[n] {
			return failure(wire.InvalidRequest, "Error due to duplicate config keys")
		}
		seen[n] = true
	}
	if len(null) > 0 {
		return failure(wire.InvalidRequest, "Null value not supported for : "+strings.Join(null, ", "))
	}
	if !knownConfigType(t) {
		return failure(wire.InvalidRequest, "Unknown resource type "+strconv.Itoa(int(t)))
	}
	return nil
}

// incremented returns the dynamic settings that a broker, or the default of brokers, would have.
func (b *Broker) incremented(res *kmsg.IncrementalAlterConfigsRequestResource) (map[string]string, error) {
	settings := map[string]string{}
	for k, v := range b.Image().Config(image.BrokerConfig, res.ResourceName) {
		settings[k] = v
	}
	for _, c := range res.Configs {
		switch c.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			settings[c.Name] = *c.Value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(settings, c.Name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			d := config.LookupBroker(c.Name)
			if d == nil || d.Type != config.List {
				return nil, failure(wire.InvalidConfig, "Config value "+operationName(c.Op)+" is not allowed for config key: "+c.Name)
			}
			settings[c.Name] = editList(settings, d, *c.Value, c.Op == kmsg.IncrementalAlterConfigOpAppend)
		default:
			return nil, failure(wire.InvalidRequest, "Unknown operations type "+itoa(int(c.Op)))
		}
	}
	return settings, nil
}

// editList adds elements to a list setting, each only once, or takes them out.
func editList(settings map[string]string, d *config.Def, change string, add bool) string {
	old, ok := settings[d.Name]
	if !ok {
		old = d.Default
	}
	var list []string
	if old != "" {
		list = strings.Split(old, ",")
	}
	for _, e := range strings.Split(change, ",") {
		at := slices.Index(list, e)
		switch {
		case add && at < 0:
			list = append(list, e)
		case !add && at >= 0:
			list = slices.Delete(list, at, at+1)
		}
	}
	return strings.Join(list, ",")
}

// A brokerValidator judges the dynamic settings that the broker of this name, or with no name the default, is to have.
type brokerValidator func(name string, settings map[string]string) error

// validateSettingsOfAny judges the settings of this broker and of the default; those of others are the controller's matter.
func (b *Broker) validateSettingsOfAny(name string, settings map[string]string) error {
	if name != "" && name != itoa(int(b.NodeID)) {
		return nil
	}
	return b.validateBrokerSettings(name, settings)
}

// validateBrokerSettings refuses what this broker could not run with. As in Kafka the code is INVALID_REQUEST.
func (b *Broker) validateBrokerSettings(name string, settings map[string]string) error {
	if name != "" {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			return failure(wire.InvalidRequest, "Node id must be an integer, but it is: "+name)
		}
		if int32(id) != b.NodeID {
			return failure(wire.InvalidRequest, "Unexpected broker id, expected "+itoa(int(b.NodeID))+", but received "+name)
		}
	}
	if err := b.Config().ValidateBroker(settings, name != ""); err != nil {
		return failure(wire.InvalidRequest, err.Error())
	}
	return b.checkSecurity(name, settings)
}

// checkSecurity tries the stores and JAAS lines that settings of listeners name.
func (b *Broker) checkSecurity(name string, settings map[string]string) error {
	if b.CheckSecurity == nil || !slices.ContainsFunc(slices.Collect(maps.Keys(settings)), config.IsListenerKey) {
		return nil
	}
	cfg := b.Config()
	next, _ := cfg.WithDynamic(cfg.DynamicDefault(), settings)
	if name == "" {
		next, _ = cfg.WithDynamic(settings, cfg.DynamicBroker())
	}
	if err := b.CheckSecurity(next); err != nil {
		return failure(wire.InvalidRequest, "Validation of dynamic config update failed: "+err.Error())
	}
	return nil
}
