// Package controller decides on the cluster's metadata: topics and their placement, configurations, which brokers
// live, who leads each partition, features, quotas, producer ids. One loop owns the state; a request is checked
// against it and becomes records and an answer; the records go to the quorum, and the answer leaves after they
// are committed and the local image with them was published. One file per domain.
//
// It does not authorize (handler does) and touches no replica (replica does).
package controller

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/quota"
)

// RequestContext says who asks. The request was authorized before.
type RequestContext struct {
	// Principal is e.g. "User:ANONYMOUS"; empty for what a node asks on its own behalf.
	Principal string
	// TokenAuthenticated says that the principal was shown by a delegation token.
	TokenAuthenticated bool
	ClientID           string
	ClientHost         netip.Addr
	Listener           string
	// MayDescribeConfigs says whether CreateTopics may tell the topic's settings; nil: always.
	MayDescribeConfigs func(topic string) bool
	// Gone is closed when nobody waits for the answer any more: what has come to nothing is then not asked again. nil: never.
	Gone <-chan struct{}
}

// Config is what a controller needs to know.
type Config struct {
	NodeID      int32
	DirectoryID image.UUID
	ClusterID   string
	// Settings is the node's configuration as it is now; defaults, ranges and validation come from it.
	Settings func() *config.Set
	// OnImage is called with each new image, in order, from one goroutine, before the requests that caused it are
	// answered. It must return when the broker acts on the image. The first call has the state that was loaded.
	OnImage func(*image.Image, *image.Delta)
	// IncarnationID is this process's, for the controller's registration.
	IncarnationID image.UUID
	// Endpoints are the controller listeners, for the controller's registration.
	Endpoints []image.Endpoint
	// Bootstrap are the records that a new cluster begins with (from bootstrap.checkpoint or the 0-0 checkpoint).
	Bootstrap Bootstrap

	// Quotas holds clients to the partitions that they may make and delete; nil: there are no quotas.
	Quotas *quota.Manager

	Now func() time.Time // nil: time.Now
	Log *slog.Logger     // nil: slog.Default
}
