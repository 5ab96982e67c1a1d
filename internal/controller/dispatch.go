package controller

import (
	"github.com/twmb/franz-go/pkg/kmsg"
)

// handlerFunc decides on one kind of request. It reads the state and changes nothing; an error stands for the whole
// request.
type handlerFunc func(c *Controller, rc RequestContext, req kmsg.Request) (decision, error)

// handle adapts a typed handler.
func handle[T kmsg.Request](f func(*Controller, RequestContext, T) (decision, error)) handlerFunc {
	return func(c *Controller, rc RequestContext, req kmsg.Request) (decision, error) { return f(c, rc, req.(T)) }
}

// handlers is the table of what the controller answers, by API key.
var handlers = map[int16]handlerFunc{
	19: handle((*Controller).createTopics),
	20: handle((*Controller).deleteTopics),
	30: handle((*Controller).createACLs),
	31: handle((*Controller).deleteACLs),
	33: handle((*Controller).alterConfigs),
	37: handle((*Controller).createPartitions),
	38: handle((*Controller).createDelegationToken),
	39: handle((*Controller).renewDelegationToken),
	40: handle((*Controller).expireDelegationToken),
	43: handle((*Controller).electLeaders),
	44: handle((*Controller).incrementalAlterConfigs),
	45: handle((*Controller).alterReassignments),
	46: handle((*Controller).listReassignments),
	49: handle((*Controller).alterClientQuotas),
	51: handle((*Controller).alterUserScramCredentials),
	55: handle((*Controller).describeQuorum),
	56: handle((*Controller).alterPartition),
	57: handle((*Controller).updateFeatures),
	62: handle((*Controller).registerBroker),
	63: handle((*Controller).heartbeat),
	64: handle((*Controller).unregisterBroker),
	67: handle((*Controller).allocateProducerIDs),
	70: handle((*Controller).registerController),
	73: handle((*Controller).assignReplicasToDirs),
}

func handlerOf(key int16) handlerFunc { return handlers[key] }
