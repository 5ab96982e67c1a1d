// Package peering tests the client between nodes against the server: the two come from different rooms and meet here.
package peering

import (
	"bytes"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/wire"
)

func serve(t *testing.T, routes []wire.Route) *server.Server {
	t.Helper()
	routes = append(routes, wire.Route{Key: 18, MaxVersion: 4, Handle: func(r *wire.Request) {
		resp := r.Body.ResponseKind().(*kmsg.ApiVersionsResponse)
		resp.ApiKeys = wire.ApiVersionKeys(routes)
		r.Reply(resp)
	}})
	s, err := server.New(server.Config{
		Listeners: []server.Listener{{Name: "CONTROLLER", SecurityProtocol: "PLAINTEXT", Address: "127.0.0.1:0", Routes: routes}},
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(0) })
	return s
}

func client(t *testing.T, s *server.Server) *peer.Client {
	t.Helper()
	g := lifecycle.New("test", slog.New(slog.DiscardHandler))
	t.Cleanup(g.Stop)
	return peer.New(peer.Config{Address: s.Addr("CONTROLLER").String(), ClientID: "1", Group: g, RequestTimeout: 20 * time.Second})
}

// TestFetchRaw: a large answer comes without its records being copied, and can be read in place.
func TestFetchRaw(t *testing.T) {
	records := bytes.Repeat([]byte("record"), 1<<19)
	s := serve(t, []wire.Route{{Key: 1, MinVersion: 4, MaxVersion: 18, Handle: func(r *wire.Request) {
		r.Reply(&wire.FetchResponse{Version: r.Version, Topics: []wire.FetchTopic{{Name: "t", Partitions: []wire.FetchPartition{
			{HighWatermark: 7, PreferredReadReplica: -1, Bytes: records}}}}})
	}}})
	c := client(t, s)
	for range 3 {
		a, err := c.DoRaw(t.Context(), kmsg.NewPtrFetchRequest())
		if err != nil {
			t.Fatal(err)
		}
		var resp kmsg.FetchResponse
		if err := a.DecodeInto(&resp); err != nil || a.Version != 18 {
			t.Fatal(err, a.Version)
		}
		got := resp.Topics[0].Partitions[0].RecordBatches
		if !bytes.Equal(got, records) {
			t.Fatal("other records")
		}
		got[0] = 'R'
		if !bytes.Contains(a.Body, []byte("Record")) {
			t.Error("the records are a copy")
		}
		a.Release()
	}
}

func TestPrivateAPIAndStop(t *testing.T) {
	s := serve(t, []wire.Route{{Key: wire.KeyRaftMessages, Hidden: true, Handle: func(r *wire.Request) {
		req := r.Body.(*wire.RaftMessagesRequest)
		resp := &wire.RaftMessagesResponse{}
		if len(req.Messages) != 2 || string(req.Messages[1]) != "two" || req.To != 9 {
			resp.ErrorCode = int16(wire.InvalidRequest)
		}
		r.Reply(resp)
	}}})
	c := client(t, s)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			resp, err := c.Do(t.Context(), &wire.RaftMessagesRequest{ClusterID: "c", To: 9, Messages: [][]byte{[]byte("one"), []byte("two")}})
			if err != nil || resp.(*wire.RaftMessagesResponse).ErrorCode != 0 {
				t.Error(err, resp)
			}
		})
	}
	wg.Wait()
	if ok, err := c.Supports(t.Context(), wire.KeyRaftMessages); ok || err != nil {
		t.Error("the private API is advertised", err)
	}
	lost := c.Lost()
	s.Stop(0)
	<-lost
	if _, err := c.Do(t.Context(), &wire.RaftMessagesRequest{}); err == nil || errors.Is(err, peer.ErrClosed) {
		t.Error("after the server stopped:", err)
	}
}
