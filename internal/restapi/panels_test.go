package restapi

import (
	"context"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// graphs has one panel, and says what it was asked.
type graphs struct{}

func (graphs) Panels() []Panel { return []Panel{{ID: "bytes-in", Title: "Bytes in"}} }

func (graphs) Panel(_ context.Context, cluster, id string, from, to time.Time, step time.Duration) (PanelData, error) {
	if id != "bytes-in" {
		return PanelData{}, fmt.Errorf("no such panel: %w", fs.ErrNotExist)
	}
	return PanelData{ID: id, Series: []Series{{Name: fmt.Sprint(cluster, " ", to.Sub(from), " ", step), Points: [][]float64{{1, 2}}}}}, nil
}

func TestPanels(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleViewer)
	srv := httptest.NewServer(New(Options{Service: d.fleet, People: d.people, Panels: graphs{}}))
	defer srv.Close()
	d.url = srv.URL
	for path, want := range map[string]string{
		"/clusters/orders/panels":                         `"id":"bytes-in"`,
		"/clusters/orders/panels/bytes-in":                `"name":"c-1 1h0m0s 7.2s"`,
		"/clusters/orders/panels/bytes-in?seconds=600":    `"name":"c-1 10m0s 5s"`,
		"/clusters/orders/panels/bytes-in?seconds=604800": `"name":"c-1 168h0m0s 20m9.6s"`,
	} {
		if r := d.want(200, d.ask("GET", Prefix+path, "", as...)); !strings.Contains(r.text, want) {
			t.Errorf("%s: no %s in %s", path, want, r.text)
		}
	}
	d.want(404, d.ask("GET", Prefix+"/clusters/orders/panels/nothing", "", as...))
	d.want(422, d.ask("GET", Prefix+"/clusters/orders/panels/bytes-in?seconds=1", "", as...))
	d.want(404, d.ask("GET", Prefix+"/clusters/other/panels/bytes-in", "", as...))
}
