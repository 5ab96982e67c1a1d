package restapi

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Panels are the measurements that the service keeps.
type Panels interface {
	Panels() []Panel
	// Panel reads one panel of a cluster, by the cluster's ID, one point for
	// each step at most. An unknown panel is an error that wraps fs.ErrNotExist.
	Panel(ctx context.Context, cluster, id string, from, to time.Time, step time.Duration) (PanelData, error)
}

// Panel is one graph.
type Panel struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Unit  string `json:"unit" doc:"bytes, bytesPerSecond, perSecond, seconds, ratio, count"`
	Kind  string `json:"kind" doc:"line, area or stat"`
	Help  string `json:"help"`
}

// PanelList is what is measured.
type PanelList struct {
	Panels []Panel `json:"panels"`
}

// PanelData is what was measured.
type PanelData struct {
	ID     string   `json:"id"`
	Unit   string   `json:"unit"`
	Series []Series `json:"series"`
}

// Series is one line of a graph.
type Series struct {
	Name   string `json:"name"`
	Broker int32  `json:"broker,omitempty" doc:"Absent for a line of the whole cluster"`
	// Points are pairs of milliseconds since 1970 and the value.
	Points [][]float64 `json:"points" doc:"Pairs of milliseconds since 1970 and the value; a gap has no points"`
}

// maxPoints bounds what one line of a graph has.
const maxPoints = 500

func (a *api) panels(ctx context.Context, in *ClusterPath) (*answer[PanelList], error) {
	if _, err := a.Service.Cluster(ctx, in.Cluster); err != nil {
		return nil, err
	}
	if a.Panels == nil {
		return body(PanelList{}, nil)
	}
	return body(PanelList{a.Panels.Panels()}, nil)
}

func (a *api) panel(ctx context.Context, in *struct {
	ClusterPath
	ID      string `path:"id" pattern:"^[A-Za-z0-9_-]{1,64}$"`
	Seconds int    `query:"seconds" minimum:"10" maximum:"2592000" default:"3600" doc:"How far back"`
}) (*answer[PanelData], error) {
	c, err := a.Service.Cluster(ctx, in.Cluster)
	if err != nil {
		return nil, err
	}
	if a.Panels == nil {
		return nil, huma.Error404NotFound("nothing is measured")
	}
	to := time.Now()
	span := time.Duration(in.Seconds) * time.Second
	data, err := a.Panels.Panel(ctx, c.ID, in.ID, to.Add(-span), to, max(5*time.Second, span/maxPoints))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, huma.Error404NotFound("there is no panel " + in.ID + "; the list of panels has all")
	}
	return body(data, err)
}
