package watch

import (
	"context"
	"time"
)

// Names of the machine's figures, as node_exporter has them, without a label
// for each processor.
const (
	nameHostCPU   = "node_cpu_seconds_total"
	nameMemTotal  = "node_memory_MemTotal_bytes"
	nameMemFree   = "node_memory_MemAvailable_bytes"
	nameDiskSize  = "node_filesystem_size_bytes"
	nameDiskAvail = "node_filesystem_avail_bytes"
)

// hostFigures are what a machine says of itself; those that a system does not
// tell are absent from the maps, or 0.
type hostFigures struct {
	cpu                     map[string]float64 // seconds by mode, over all processors
	memTotal, memAvailable  float64
	diskSize, diskAvailable float64
}

func (w *Watcher) watchHost(ctx context.Context) {
	every(ctx, w.o.Every, func(_ context.Context, now time.Time) {
		rec := recorder{w, now, []string{"instance", "localhost"}}
		f := readHost(w.o.Dir)
		for mode, seconds := range f.cpu {
			rec.put(nameHostCPU, seconds, pair{"mode", mode})
		}
		if f.memTotal > 0 {
			rec.put(nameMemTotal, f.memTotal)
			rec.put(nameMemFree, f.memAvailable)
		}
		if f.diskSize > 0 {
			rec.put(nameDiskSize, f.diskSize)
			rec.put(nameDiskAvail, f.diskAvailable)
		}
	})
}
