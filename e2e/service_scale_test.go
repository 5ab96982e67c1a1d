//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// scaleOut grows the cluster, and says what a client that writes at its own
// pace loses meanwhile.
func (h *house) scaleOut(l *load) {
	stretch := 3 * time.Second
	if full() {
		stretch = 10 * time.Second
		l.pace.Store(measuredPace)
		defer l.pace.Store(usualPace)
	}
	// What waited through the scene before would count as more than the load's rate.
	h.await(func() error {
		if waiting := l.sent.Load() - l.acked.Load(); waiting > uint64(l.pace.Load()/5) {
			return fmt.Errorf("%d records wait for their acknowledgement", waiting)
		}
		return nil
	})
	ended := l.measure()
	<-time.NewTimer(stretch).C
	before := ended()
	began := time.Now()
	ended = l.measure()
	op := h.change(controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 5})
	during := ended()
	took := time.Since(began)
	h.figure(fmt.Sprintf("scale-out, %d MiB moved", op.Plan.BytesToMove>>20), took)
	loss := 100 - 100*during.perSecond/before.perSecond
	h.t.Logf("FIGURE loss of producer throughput in the scale-out: %.1f %% (%.0f and %.0f KB/s in %d and %d windows of a second; the worst %.0f and %.0f; p99 of a send %v and %v)",
		loss, before.perSecond/1000, during.perSecond/1000, before.windows, during.windows, before.least/1000, during.least/1000,
		before.p99.Round(time.Millisecond), during.p99.Round(time.Millisecond))
	if full() && loss >= 10 {
		h.t.Errorf("producers lose %.1f %%, wanted less than 10", loss)
	}
	h.showMoves(op)
	h.whole(l, 5)
	h.unlimited()
}

// unlimited: nothing holds replication back, neither by the service's word nor
// by the cluster's own.
func (h *house) unlimited() {
	h.t.Helper()
	v := h.view()
	if v.Throttled {
		h.t.Error("the service says that replication is limited still")
	}
	opts, err := h.access().Options()
	if err != nil {
		h.t.Fatal(err)
	}
	k, err := kgo.NewClient(opts...)
	if err != nil {
		h.t.Fatal(err)
	}
	defer k.Close()
	adm := kadm.NewClient(k)
	topics, err := adm.DescribeTopicConfigs(h.ctx, loadTopic, "old")
	brokers, failed := adm.DescribeBrokerConfigs(h.ctx, v.BrokerIDs()...)
	if err := errors.Join(err, failed); err != nil {
		h.t.Fatal(err)
	}
	for _, r := range append(topics, brokers...) {
		for _, c := range r.Configs {
			dynamic := c.Source == kmsg.ConfigSourceDynamicBrokerConfig || c.Source == kmsg.ConfigSourceDynamicTopicConfig
			if dynamic && strings.Contains(c.Key, ".replication.throttled.") {
				h.t.Errorf("%s of %s is %s still", c.Key, r.Name, c.MaybeValue())
			}
		}
	}
}

// showMoves: the moves ended with as many bytes as were planned, and the
// operation's document does not carry them.
func (h *house) showMoves(op *spec.Operation) {
	h.t.Helper()
	for _, s := range op.Steps {
		if s.Kind == spec.StepReassign && (s.Args.StoredMoves == 0 || len(s.Args.Moves) > 0 || s.Progress.BytesDone != s.Progress.BytesTotal || s.Progress.BytesTotal == 0) {
			h.t.Errorf("%d moves apart, %d within, %+v", s.Args.StoredMoves, len(s.Args.Moves), s.Progress)
		}
	}
}

func (h *house) scaleIn(l *load) {
	h.change(controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 3})
	h.whole(l, 3)
	if _, err := os.Stat(h.layout().Broker(5)); !errors.Is(err, os.ErrNotExist) {
		h.t.Errorf("files of a broker that is gone: %v", err)
	}
}
