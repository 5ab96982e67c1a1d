package node

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/vfs"
)

// A broker tells of a partition that it leads when it takes records for it, not before: who is told and writes at once must
// not be sent away.
func TestLeaderIsToldWhenItServes(t *testing.T) {
	var slow atomic.Bool
	reached, release := make(chan struct{}, 16), make(chan struct{})
	fs := vfs.Inject(vfs.NewMem(), func(op vfs.Op) error {
		if slow.Load() && strings.Contains(op.Name, "/t-0") {
			select {
			case reached <- struct{}{}:
			default:
			}
			<-release
		}
		return nil
	})
	n := startOn(t, settings(t, "/data"), fs)
	defer n.Stop()
	goOn := sync.OnceFunc(func() { close(release) })
	defer goOn()
	adm := kadm.NewClient(client(t, n))
	slow.Store(true)
	made := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	go func() {
		_, err := adm.CreateTopic(ctx, 1, 1, nil, "t")
		made <- err
	}()
	select {
	case <-reached:
	case <-ctx.Done():
		t.Fatal("the replica is not opened")
	}
	for range 20 { // the log is being made, and stays so
		topics, err := kadm.NewClient(client(t, n)).ListTopics(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if topics.Has("t") {
			t.Fatal("the broker tells of a partition that it does not serve yet")
		}
	}
	goOn()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	c := client(t, n, kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	if err := c.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Error(err)
	}
}
