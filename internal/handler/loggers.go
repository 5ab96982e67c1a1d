package handler

import (
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// loggerNames maps names of loggers that operators of Apache Kafka know to the rooms whose lines they are.
var loggerNames = map[string]string{
	"kafka.server.ReplicaManager":                                "replica",
	"kafka.server.ReplicaFetcherThread":                          "replica",
	"kafka.server.KafkaApis":                                     "handler",
	"kafka.request.logger":                                       "handler",
	"kafka.network.Processor":                                    "server",
	"kafka.network.SocketServer":                                 "server",
	"kafka.cluster.Partition":                                    "partition",
	"kafka.log.LogManager":                                       "log",
	"kafka.log.LogCleaner":                                       "log",
	"kafka.controller":                                           "controller",
	"state.change.logger":                                        "controller",
	"org.apache.kafka.controller.QuorumController":               "controller",
	"org.apache.kafka.raft.KafkaRaftClient":                      "quorum",
	"org.apache.kafka.coordinator.group.GroupCoordinatorService": "group",
	"org.apache.kafka.storage.internals.log.LogCleaner":          "log",
	"org.apache.kafka.storage.internals.log.LogManager":          "log",
	"org.apache.kafka.storage.internals.log.UnifiedLog":          "log",
	"org.apache.kafka.server.BrokerLifecycleManager":             "uplink",
}

// loggers returns name → room of all loggers, Weir's own and Kafka's names for them.
func loggers(l *telemetry.Logs) map[string]string {
	out := map[string]string{telemetry.RootLogger: telemetry.RootLogger}
	rooms := l.Names()
	for _, room := range rooms {
		out[room] = room
	}
	for name, room := range loggerNames {
		if slices.Contains(rooms, room) {
			out[name] = room
		}
	}
	return out
}

// describeLoggers returns the levels of all loggers as settings.
func describeLoggers(l *telemetry.Logs, keys []string) []config.Entry {
	all := loggers(l)
	var out []config.Entry
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(keys) > 0 && !slices.Contains(keys, name) {
			continue
		}
		level := telemetry.LevelName(l.Level(all[name]))
		out = append(out, config.Entry{Name: name, Value: &level, Source: config.SourceBrokerLogger})
	}
	return out
}

// alterLoggers sets levels. All operations are checked before the first one takes effect.
func (b *Broker) alterLoggers(res *kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) error {
	id, err := strconv.ParseInt(res.ResourceName, 10, 32)
	if err != nil {
		return failure(wire.InvalidRequest, "Node id must be an integer, but it is: "+res.ResourceName)
	}
	if int32(id) != b.NodeID {
		return failure(wire.InvalidRequest, "Unexpected node id. Expected "+itoa(int(b.NodeID))+", but received "+res.ResourceName)
	}
	all := loggers(b.Loggers)
	levels := make([]slog.Level, len(res.Configs))
	for i, c := range res.Configs {
		room, known := all[c.Name]
		switch c.Op {
		case kmsg.IncrementalAlterConfigOpSet:
			if !known {
				return failure(wire.InvalidConfig, "Logger "+c.Name+" does not exist!")
			}
			level, ok := telemetry.ParseLevel(*c.Value)
			if !ok {
				return failure(wire.InvalidConfig, "Cannot set the log level of "+c.Name+" to "+*c.Value+
					" as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN")
			}
			levels[i] = level
		case kmsg.IncrementalAlterConfigOpDelete:
			if !known {
				return failure(wire.InvalidConfig, "Logger "+c.Name+" does not exist!")
			}
			if room == telemetry.RootLogger {
				return failure(wire.InvalidRequest, "Removing the log level of the "+telemetry.RootLogger+" logger is not allowed")
			}
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			return failure(wire.InvalidRequest, operationName(c.Op)+" operation is not allowed for the BROKER_LOGGER resource")
		default:
			return failure(wire.InvalidRequest, "Unknown operation type "+itoa(int(c.Op))+" is not allowed for the BROKER_LOGGER resource")
		}
	}
	if validateOnly {
		return nil
	}
	for i, c := range res.Configs {
		room := all[c.Name]
		if c.Op == kmsg.IncrementalAlterConfigOpDelete {
			b.Loggers.Unset(room)
			b.Logger.Info("the level of a logger was unset", "name", c.Name)
			continue
		}
		b.Loggers.SetLevel(room, levels[i])
		b.Logger.Info("the level of a logger was set", "name", c.Name, "level", telemetry.LevelName(levels[i]))
	}
	return nil
}

func operationName(op kmsg.IncrementalAlterConfigOp) string { return strings.ToUpper(op.String()) }
