package cli

import (
	"context"
	"errors"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/telemetry"
)

// runNode runs a node in this process.
func runNode(context.Context, *config.Set, *telemetry.Logs, func()) error {
	return errors.New("this build has no broker in it")
}
