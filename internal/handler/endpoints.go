package handler

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// someBroker is the broker that clients are told is the controller: any live one, since each forwards to it.
func (b *Broker) someBroker(img *image.Image) int32 {
	if br := img.Broker(b.NodeID); br != nil && !br.Fenced {
		return b.NodeID
	}
	for br := range img.Brokers() {
		if !br.Fenced {
			return br.ID
		}
	}
	return -1
}

// offlineReplicas are those whose broker is gone or whose directory has failed.
func (b *Broker) offlineReplicas(img *image.Image, p *image.Partition) []int32 {
	var off []int32
	for i, id := range p.Replicas {
		br := img.Broker(id)
		if br == nil || br.Fenced || (i < len(p.Directories) && lost(br, p.Directories[i])) {
			off = append(off, id)
		}
	}
	return off
}

// reachable are those of these brokers that are there for who came by a listener.
func reachable(img *image.Image, brokers []int32, listener string) []int32 {
	out := make([]int32, 0, len(brokers))
	for _, id := range brokers {
		if br := img.Broker(id); br != nil && !br.Fenced {
			if _, ok := br.Endpoint(listener); ok {
				out = append(out, id)
			}
		}
	}
	return out
}

// lost reports whether a replica's directory is known and not among the broker's online ones.
func lost(br *image.Broker, dir image.UUID) bool {
	switch dir {
	case image.DirectoryMigrating, image.DirectoryUnassigned:
		return false
	case image.DirectoryLost:
		return true
	}
	return len(br.Directories) > 0 && !br.HasDirectory(dir)
}

// appendProduceEndpoint adds a broker's address once (KIP-951).
func (b *Broker) appendProduceEndpoint(to []kmsg.ProduceResponseBroker, id int32, listener string) []kmsg.ProduceResponseBroker {
	if slices.ContainsFunc(to, func(e kmsg.ProduceResponseBroker) bool { return e.NodeID == id }) {
		return to
	}
	br := b.Image().Broker(id)
	if br == nil {
		return to
	}
	ep, ok := br.Endpoint(listener)
	if !ok {
		return to
	}
	e := kmsg.NewProduceResponseBroker()
	e.NodeID, e.Host, e.Port, e.Rack = id, ep.Host, int32(ep.Port), br.Rack
	return append(to, e)
}

// fetchEndpoints lists the addresses of the leaders that an answer hints at (KIP-951), from version 16 on.
func (b *Broker) fetchEndpoints(resp *wire.FetchResponse, version int16, listener string) []kmsg.FetchResponseBroker {
	if version < 16 {
		return nil
	}
	var out []kmsg.FetchResponseBroker
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			h := resp.Topics[i].Partitions[j].CurrentLeader
			if h == nil || slices.ContainsFunc(out, func(e kmsg.FetchResponseBroker) bool { return e.NodeID == h.LeaderID }) {
				continue
			}
			br := b.Image().Broker(h.LeaderID)
			if br == nil {
				continue
			}
			if ep, ok := br.Endpoint(listener); ok {
				e := kmsg.NewFetchResponseBroker()
				e.NodeID, e.Host, e.Port, e.Rack = h.LeaderID, ep.Host, int32(ep.Port), br.Rack
				out = append(out, e)
			}
		}
	}
	return out
}
