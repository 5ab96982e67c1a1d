package spec

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/config"
)

// owned are the settings that the service derives from the cluster itself. A
// name that ends with a dot stands for all that begin with it.
var owned = []string{
	"node.id", "broker.id", "process.roles", "broker.rack", "cluster.id",
	"listeners", "advertised.listeners", "listener.security.protocol.map", "listener.name.",
	"inter.broker.listener.name", "security.inter.broker.protocol",
	"controller.quorum.voters", "controller.quorum.bootstrap.servers", "controller.listener.names",
	"log.dir", "log.dirs", "metadata.log.dir",
	"authorizer.class.name", "super.users", "allow.everyone.if.no.acl.found", "early.start.listeners",
	"ssl.", "sasl.", "weir.metrics.",
}

// OwnedByService says whether a setting is derived by the service and can
// therefore not be given by a user.
func OwnedByService(key string) bool {
	return slices.ContainsFunc(owned, func(o string) bool {
		return key == o || strings.HasSuffix(o, ".") && strings.HasPrefix(key, o)
	})
}

// ValidateSettings checks broker settings for an engine: known, well-formed,
// and not the service's own.
func ValidateSettings(engine string, settings map[string]string) error {
	var r refusals
	validateSettings(&r, engine, settings)
	return r.err()
}

func validateSettings(r *refusals, engine string, settings map[string]string) {
	if len(settings) > MaxSettings {
		r.add("settings", len(settings), "must be at most %d settings", MaxSettings)
		return
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		if rule := settingRule(engine, key, settings[key]); rule != "" {
			r.add("settings."+key, settings[key], "%s", rule)
		}
	}
}

// settingRule says which rule a setting breaks, "" for none.
func settingRule(engine, key, value string) string {
	if OwnedByService(key) {
		return "is set by the service from the cluster's brokers and security; leave it out"
	}
	if strings.ContainsAny(key+value, "\r\n\x00") {
		return "must be one line"
	}
	def := config.LookupBroker(key)
	if def == nil || engine == EngineApacheKafka && strings.HasPrefix(key, "weir.") {
		if say, removed := config.Removed(key); removed {
			return "is gone from Kafka 4: " + say
		}
		if near := config.Nearest(key); near != "" && near != key {
			return "is no broker setting; did you mean " + near + "?"
		}
		return "is no broker setting of this engine"
	}
	parsed, err := def.Parse(value)
	if err != nil {
		var bad *config.Error
		if errors.As(err, &bad) && bad.Reason != "" {
			return bad.Reason
		}
		return err.Error()
	}
	if engine == EngineWeir && def.Effect == config.Refused && (def.Null || def.Text(parsed) != def.Default) {
		return "is refused by Weir: " + def.Why
	}
	return ""
}
