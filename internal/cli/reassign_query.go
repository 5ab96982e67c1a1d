package cli

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// ongoing is a move that the controller works at.
type ongoing struct {
	partition                  topicPartition
	replicas, adding, removing []int32
}

// ongoingMoves lists the moves under way.
func (r *reassignment) ongoingMoves(ctx context.Context) ([]ongoing, error) {
	raw, err := r.callController(ctx, "listPartitionReassignments", kmsg.NewPtrListPartitionReassignmentsRequest())
	if err != nil {
		return nil, inFuture{err}
	}
	resp := raw.(*kmsg.ListPartitionReassignmentsResponse)
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		return nil, inFuture{err}
	}
	var moves []ongoing
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			moves = append(moves, ongoing{topicPartition{t.Topic, p.Partition}, p.Replicas, p.AddingReplicas, p.RemovingReplicas})
		}
	}
	slices.SortFunc(moves, func(a, b ongoing) int { return a.partition.compare(b.partition) })
	return moves, nil
}

func findOngoing(moves []ongoing, tp topicPartition) *ongoing {
	for i := range moves {
		if moves[i].partition == tp {
			return &moves[i]
		}
	}
	return nil
}

// callController sends a request that brokers forward to the controller.
func (r *reassignment) callController(ctx context.Context, name string, req kmsg.Request) (kmsg.Response, error) {
	if r.cluster.controllers {
		return r.cluster.callLeader(ctx, name, req)
	}
	return r.cluster.admin.Call(ctx, name, req)
}

// replicasOf tells where the partitions of topics are. A topic that does not exist is left out.
func (r *reassignment) replicasOf(ctx context.Context, topics []string) (map[topicPartition][]int32, error) {
	out := map[topicPartition][]int32{}
	if len(topics) == 0 {
		return out, nil
	}
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	for _, name := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	raw, err := r.cluster.admin.Call(ctx, "describeTopics", req)
	if err != nil {
		return nil, inFuture{err}
	}
	for _, t := range raw.(*kmsg.MetadataResponse).Topics {
		err := client.Coded(t.ErrorCode, nil)
		if client.HasCode(err, kerr.UnknownTopicOrPartition) || t.Topic == nil {
			continue
		}
		if err != nil {
			return nil, inFuture{err}
		}
		for _, p := range t.Partitions {
			out[topicPartition{*t.Topic, p.Partition}] = p.Replicas
		}
	}
	return out, nil
}

// existingReplicas is replicasOf, but a topic that does not exist is an error.
func (r *reassignment) existingReplicas(ctx context.Context, topics []string) (map[topicPartition][]int32, error) {
	current, err := r.replicasOf(ctx, topics)
	if err != nil {
		return nil, err
	}
	for _, name := range topics {
		found := false
		for tp := range current {
			found = found || tp.topic == name
		}
		if !found {
			message := "Topic " + name + " not found."
			return nil, inFuture{client.Coded(kerr.UnknownTopicOrPartition.Code, &message)}
		}
	}
	return current, nil
}

// dirState is where a replica is, and where it is being moved to on the same broker.
type dirState struct{ current, future string }

// dirsOf finds the directories of replicas. Replicas that a broker does not have, and brokers that do not answer, are
// left out.
func (r *reassignment) dirsOf(ctx context.Context, replicas []replicaOf) map[replicaOf]dirState {
	wanted := map[int32][]replicaOf{}
	for _, replica := range replicas {
		wanted[replica.broker] = append(wanted[replica.broker], replica)
	}
	out := map[replicaOf]dirState{}
	for broker, list := range wanted {
		dirs, err := describeLogDirs(ctx, r.cluster.admin, broker)
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			for _, t := range dir.Topics {
				for _, p := range t.Partitions {
					replica := replicaOf{topicPartition{t.Topic, p.Partition}, broker}
					if !slices.Contains(list, replica) {
						continue
					}
					state := out[replica]
					if p.IsFuture {
						state.future = dir.Dir
					} else {
						state.current = dir.Dir
					}
					out[replica] = state
				}
			}
		}
	}
	return out
}

// currentMoves is where partitions are now, directories included, as a file for the way back.
func (r *reassignment) currentMoves(ctx context.Context, current map[topicPartition][]int32) string {
	var replicas []replicaOf
	for tp, ids := range current {
		for _, id := range ids {
			replicas = append(replicas, replicaOf{tp, id})
		}
	}
	dirs := r.dirsOf(ctx, replicas)
	var moves []move
	for tp, ids := range current {
		m := move{partition: tp, replicas: ids, dirs: []string{}}
		for _, id := range ids {
			dir := dirs[replicaOf{tp, id}].current
			if dir == "" {
				dir = anyDir
			}
			m.dirs = append(m.dirs, dir)
		}
		moves = append(moves, m)
	}
	return formatMoves(moves)
}

// topicNames are the topics of moves, each once, in the order of Kafka's tool.
func topicNames(moves []move) []string {
	var names []string
	for _, m := range moves {
		if !slices.Contains(names, m.partition.topic) {
			names = append(names, m.partition.topic)
		}
	}
	hashOrder(names, defaultHashCapacity, stringHash)
	return names
}

// dirMoves are the replicas that are to be in a certain directory, and that directory.
func dirMoves(moves []move) map[replicaOf]string {
	out := map[replicaOf]string{}
	for _, m := range moves {
		for i, dir := range m.dirs {
			if dir != anyDir {
				out[replicaOf{m.partition, m.replicas[i]}] = dir
			}
		}
	}
	return out
}
