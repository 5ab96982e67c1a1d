package watch

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/provider"
)

// Names of what is measured from outside, under those of the exporters that
// boards know where there is one.
const (
	nameUp        = "up"
	nameDuration  = "scrape_duration_seconds"
	nameSamples   = "scrape_samples_scraped"
	nameCPU       = "process_cpu_seconds_total"
	nameRSS       = "process_resident_memory_bytes"
	nameOpenFiles = "process_open_fds"
	nameDiskUsed  = "weir_broker_disk_used_bytes"
)

// wanted are the names that are kept of a broker's metrics, each with the
// labels that a sample may have: kept ones in the store, all others refused.
var wanted = map[string]func([]pair) bool{
	"kafka_server_brokertopicmetrics_messagesin_total":                   noLabels,
	"kafka_server_brokertopicmetrics_bytesin_total":                      noLabels,
	"kafka_server_brokertopicmetrics_bytesout_total":                     noLabels,
	"kafka_server_brokertopicmetrics_replicationbytesin_total":           noLabels,
	"kafka_server_brokertopicmetrics_replicationbytesout_total":          noLabels,
	"kafka_server_brokertopicmetrics_failedproducerequests_total":        noLabels,
	"kafka_server_brokertopicmetrics_failedfetchrequests_total":          noLabels,
	"kafka_server_replicamanager_underreplicatedpartitions":              noLabels,
	"kafka_server_replicamanager_underminisrpartitioncount":              noLabels,
	"kafka_server_replicamanager_leadercount":                            noLabels,
	"kafka_server_replicamanager_partitioncount":                         noLabels,
	"kafka_server_replicamanager_offlinereplicacount":                    noLabels,
	"kafka_server_replicamanager_isrshrinks_total":                       noLabels,
	"kafka_server_replicamanager_isrexpands_total":                       noLabels,
	"kafka_controller_kafkacontroller_activecontrollercount":             noLabels,
	"kafka_controller_kafkacontroller_offlinepartitionscount":            noLabels,
	"kafka_controller_kafkacontroller_preferredreplicaimbalancecount":    noLabels,
	"kafka_controller_kafkacontroller_globaltopiccount":                  noLabels,
	"kafka_controller_kafkacontroller_globalpartitioncount":              noLabels,
	"kafka_controller_kafkacontroller_activebrokercount":                 noLabels,
	"kafka_controller_kafkacontroller_fencedbrokercount":                 noLabels,
	"kafka_controller_controllerstats_uncleanleaderelections_total":      noLabels,
	"kafka_network_requestmetrics_totaltimems":                           mainRequests,
	"kafka_network_requestmetrics_totaltimems_count":                     mainRequests,
	"kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent": noLabels,
	"kafka_network_socketserver_networkprocessoravgidle_percent":         noLabels,
	"kafka_log_logmanager_offlinelogdirectorycount":                      noLabels,
	"kafka_server_kafkaserver_brokerstate":                               noLabels,
	"kafka_coordinator_group_groupmetadatamanager_numgroups":             noLabels,
}

// noLabels keeps the figure of the whole broker and leaves those by topic.
func noLabels(ls []pair) bool { return len(ls) == 0 }

// mainRequests keeps what clients and followers wait for most.
func mainRequests(ls []pair) bool {
	for _, l := range ls {
		switch l.name {
		case "request":
			if !slices.Contains([]string{"Produce", "FetchConsumer", "FetchFollower"}, l.value) {
				return false
			}
		case "quantile":
			if !slices.Contains([]string{"0.50", "0.95", "0.99"}, l.value) {
				return false
			}
		default:
			return false
		}
	}
	return len(ls) > 0
}

// eye looks at one broker.
type eye struct {
	w       *Watcher
	cluster string
	t       Target
	client  *http.Client
	down    bool
	disk    time.Time // of the last look at it
}

func (w *Watcher) watchBroker(ctx context.Context, cluster string, t Target) {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, ResponseHeaderTimeout: w.o.Every}
	defer tr.CloseIdleConnections()
	e := &eye{w: w, cluster: cluster, t: t, client: &http.Client{Transport: tr}}
	every(ctx, w.o.Every, e.look)
}

func (e *eye) look(ctx context.Context, now time.Time) {
	rec := recorder{e.w, now, brokerLabels(e.cluster, e.t.Broker)}
	e.process(rec)
	ctx, cancel := context.WithTimeout(ctx, e.w.o.Every*4/5)
	defer cancel()
	n, err := e.scrape(ctx, rec)
	if ctx.Err() != nil && e.w.group.Context().Err() != nil {
		return // the end of the service says nothing of the broker
	}
	took := time.Since(now)
	up := 1.0
	if err != nil {
		up = 0
	}
	rec.put(nameUp, up)
	rec.put(nameDuration, took.Seconds())
	rec.put(nameSamples, float64(n))
	e.w.own.scraped(e.cluster, took, err == nil)
	if down := err != nil; down != e.down {
		e.down = down
		if down {
			e.w.o.Log.Warn("no metrics of a broker", "cluster", e.cluster, "broker", e.t.Broker, "err", err)
		} else {
			e.w.o.Log.Info("metrics of a broker are back", "cluster", e.cluster, "broker", e.t.Broker)
		}
	}
}

// scrape reads a broker's metrics; samples are stored only when all was read.
func (e *eye) scrape(ctx context.Context, rec recorder) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.t.URL, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	resp, err := e.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s answers %s", e.t.URL, resp.Status)
	}
	type sample struct {
		name   string
		labels []pair
		v      float64
	}
	var found []sample
	n, err := readText(resp.Body, func(name []byte) bool { return wanted[string(name)] != nil }, func(name string, ls []pair, v float64) {
		if wanted[name](ls) {
			found = append(found, sample{name, ls, v})
		}
	})
	if err != nil {
		return n, err
	}
	for _, s := range found {
		rec.put(s.name, s.v, s.labels...)
	}
	return n, nil
}

// process measures the broker from outside, also while it answers nothing.
func (e *eye) process(rec recorder) {
	if u, err := e.w.local.Usage(e.t.PIDFile); err == nil {
		rec.put(nameCPU, u.CPU.Seconds())
		rec.put(nameRSS, float64(u.RSSBytes))
		if u.OpenFiles >= 0 {
			rec.put(nameOpenFiles, float64(u.OpenFiles))
		}
	}
	if rec.now.Sub(e.disk) < e.w.o.DiskEvery-e.w.o.Every/2 {
		return
	}
	e.disk = rec.now
	if used, err := provider.DiskUsage(e.t.Data); err == nil {
		rec.put(nameDiskUsed, float64(used))
	}
}
