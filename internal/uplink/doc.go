// Package uplink is the broker's half of the controller protocol: registration and heartbeats with the states that
// they lead through, blocks of producer ids, and the way requests go to the active controller. In a combined node
// the way is a call in the same process; a remote one fits the same interface.
//
// It decides nothing about partitions and keeps no metadata.
package uplink

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
)

// Channel carries requests to the active controller. An error wraps a wire.Code (NOT_CONTROLLER when there is none to
// be had) or the context's error.
type Channel interface {
	Handle(ctx context.Context, rc controller.RequestContext, req kmsg.Request) (kmsg.Response, error)
}
