package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/weir-stream/weir/internal/controlplane"
)

// maxStreams bounds how many streams of events are open at once.
const maxStreams = 64

// sendTimeout is how long a reader may leave an event unread.
const sendTimeout = 30 * time.Second

var errStreams = errors.New("too many streams of events are open: close some pages")

// events tells what changed until the client leaves, the session ends or the
// service does.
func (a *api) events(ctx context.Context, in *struct {
	Cluster string `query:"cluster" pattern:"^[A-Za-z0-9_-]{1,64}$" doc:"Only what concerns this cluster, by name or id"`
}) (*huma.StreamResponse, error) {
	only := ""
	if in.Cluster != "" {
		c, err := a.Service.Cluster(ctx, in.Cluster)
		if err != nil {
			return nil, err
		}
		only = c.ID
	}
	select {
	case a.streams <- struct{}{}:
	default:
		return nil, errStreams
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { <-a.streams }()
		r, w := humago.Unwrap(ctx)
		a.stream(r, w, only)
	}}, nil
}

func (a *api) stream(r *http.Request, w http.ResponseWriter, only string) {
	events, end := a.Service.Subscribe()
	defer end()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		_ = control.SetWriteDeadline(time.Now().Add(sendTimeout)) // a recorder of tests has none
		if _, err := fmt.Fprintf(w, format, args...); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	beat := time.NewTicker(a.Heartbeat)
	defer beat.Stop()
	ok := send(": hello\n\n")
	for ok {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			// Who has lost access meanwhile hears no more.
			if _, _, err := a.identify(r); err != nil {
				return
			}
			ok = send(": still there\n\n")
		case e, open := <-events:
			if !open {
				return
			}
			if only == "" || e.Cluster == only || e.Kind == controlplane.EventResync {
				data, _ := json.Marshal(e) // three strings
				ok = send("event: %s\ndata: %s\n\n", e.Kind, data)
			}
		}
	}
}
