package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// AlterConfigs, versions 0 to 2: puts all settings of a resource in place of what it had. Superseded by
// IncrementalAlterConfigs and kept for old clients; 2 is flexible. Broker loggers cannot be altered this way.
func (b *Broker) handleAlterConfigs(r *wire.Request) { b.alterConfigs(r, b.validateBrokerSettings) }

// handleControllerAlterConfigs answers on a controller's listener, where any broker may be named.
func (b *Broker) handleControllerAlterConfigs(r *wire.Request) {
	b.alterConfigs(r, b.validateSettingsOfAny)
}

func (b *Broker) alterConfigs(r *wire.Request, validate brokerValidator) {
	req := r.Body.(*kmsg.AlterConfigsRequest)
	errs := make([]error, len(req.Resources))
	pass := kmsg.NewPtrAlterConfigsRequest()
	pass.Version, pass.ValidateOnly = req.Version, req.ValidateOnly
	twice := repeated(len(req.Resources), func(i int) configResource {
		return configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
	})
	for i := range req.Resources {
		if twice[i] {
			errs[i] = failure(wire.InvalidRequest, "Each resource must appear at most once.")
		} else if errs[i] = b.prepareAlter(r, &req.Resources[i], validate); errs[i] == nil {
			pass.Resources = append(pass.Resources, req.Resources[i])
		}
	}
	answer := func(out map[configResource]kmsg.AlterConfigsResponseResource) {
		resp := req.ResponseKind().(*kmsg.AlterConfigsResponse)
		for i := range req.Resources {
			res := kmsg.NewAlterConfigsResponseResource()
			key := configResource{req.Resources[i].ResourceType, req.Resources[i].ResourceName}
			switch from, ok := out[key]; {
			case errs[i] != nil:
				res.ErrorCode, res.ErrorMessage = int16(wire.CodeOf(errs[i])), messagePtr(errs[i])
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
		out := map[configResource]kmsg.AlterConfigsResponseResource{}
		for _, res := range resp.(*kmsg.AlterConfigsResponse).Resources {
			out[configResource{res.ResourceType, res.ResourceName}] = res
		}
		answer(out)
	})
}

func (b *Broker) prepareAlter(r *wire.Request, res *kmsg.AlterConfigsRequestResource, validate brokerValidator) error {
	names := make([]string, len(res.Configs))
	settings := make(map[string]string, len(res.Configs))
	var null []string
	for i, c := range res.Configs {
		names[i] = c.Name
		if c.Value == nil {
			null = append(null, c.Name)
			continue
		}
		settings[c.Name] = *c.Value
	}
	t := config.ResourceType(res.ResourceType)
	if t == config.ResourceBrokerLogger {
		return failure(wire.InvalidRequest, "Unknown resource type "+itoa(int(t)))
	}
	if err := checkConfigKeys(names, null, t); err != nil {
		return err
	}
	if err := b.mayConfigure(r, authz.AlterConfigs, t, res.ResourceName); err != nil {
		return err
	}
	if t == config.ResourceBroker {
		return validate(res.ResourceName, settings)
	}
	return nil
}
