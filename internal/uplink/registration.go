package uplink

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// ControllerConfig says who a controller is.
type ControllerConfig struct {
	Channel       Channel
	ControllerID  int32
	IncarnationID [16]byte
	Endpoints     []image.Endpoint
	Features      []image.FeatureRange
	// Registered reports whether the metadata has this registration, or cannot have one.
	Registered func() bool
	Log        *slog.Logger
}

// registrationPause is how often a controller looks whether it is registered; registrationRetry is the pause after it was refused.
const (
	registrationPause = 100 * time.Millisecond
	registrationRetry = 500 * time.Millisecond
)

// RegisterController keeps a controller registered (ControllerRegistration, KIP-919) until the group stops. The active one
// registers itself.
func RegisterController(g *lifecycle.Group, cfg ControllerConfig) {
	g.Go("controller registration", func(ctx context.Context) {
		t := time.NewTicker(registrationPause)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			if cfg.Registered() {
				continue
			}
			err := registerController(ctx, cfg)
			t.Reset(registrationPause)
			if err != nil && ctx.Err() == nil {
				t.Reset(registrationRetry)
				cfg.Log.Warn("the active controller does not take this controller's registration yet", "err", err)
			}
		}
	})
}

func registerController(ctx context.Context, cfg ControllerConfig) error {
	req := kmsg.NewPtrControllerRegistrationRequest()
	req.ControllerID, req.IncarnationID = cfg.ControllerID, cfg.IncarnationID
	for _, e := range cfg.Endpoints {
		l := kmsg.NewControllerRegistrationRequestListener()
		l.Name, l.Host, l.Port, l.SecurityProtocol = e.Name, e.Host, e.Port, e.SecurityProtocol
		req.Listeners = append(req.Listeners, l)
	}
	for _, f := range cfg.Features {
		rf := kmsg.NewControllerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, rf)
	}
	resp, err := cfg.Channel.Handle(ctx, controller.RequestContext{Principal: selfPrincipal}, req)
	if err != nil {
		return err
	}
	if code := wire.Code(resp.(*kmsg.ControllerRegistrationResponse).ErrorCode); code != wire.None {
		return code
	}
	return nil
}
