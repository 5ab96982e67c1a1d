package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client asks one cluster. It is safe for concurrent use.
type Client struct {
	kgo *kgo.Client
	adm *kadm.Client
}

// Open makes a client. It connects with the first call.
func Open(a Access) (*Client, error) {
	opts, err := a.Options()
	if err != nil {
		return nil, err
	}
	// Short times: a dead broker must cost a caller little, and after a halted
	// one there must be time left to ask another.
	cl, err := kgo.NewClient(append(opts, kgo.ClientID("weir-service"), kgo.DialTimeout(2*time.Second),
		kgo.RequestTimeoutOverhead(3*time.Second), kgo.RetryTimeout(10*time.Second), kgo.MetadataMinAge(100*time.Millisecond))...)
	if err != nil {
		return nil, fmt.Errorf("admin: %w", err)
	}
	return &Client{kgo: cl, adm: kadm.NewClient(cl)}, nil
}

// Close ends all connections.
func (c *Client) Close() { c.kgo.Close() }

// Node is a broker that the cluster knows.
type Node struct {
	ID     int32
	Host   string
	Port   int32
	Rack   string
	Fenced bool
}

// Partition is where a partition lies.
type Partition struct {
	Topic         string
	Partition     int32
	Leader        int32 // -1: none
	Replicas, ISR []int32
}

// Nodes lists registered brokers, fenced ones included.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.EndpointType, req.IncludeFencedBrokers = 1, true
	resp, err := req.RequestWith(ctx, c.kgo)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		return nil, fmt.Errorf("describe cluster: %w", err)
	}
	var out []Node
	for _, b := range resp.Brokers {
		n := Node{ID: b.NodeID, Host: b.Host, Port: b.Port, Fenced: b.IsFenced}
		if b.Rack != nil {
			n.Rack = *b.Rack
		}
		out = append(out, n)
	}
	slices.SortFunc(out, func(a, b Node) int { return int(a.ID) - int(b.ID) })
	return out, nil
}

// Partitions lists the partitions of all topics, internal ones included, by
// topic and number.
func (c *Client) Partitions(ctx context.Context) ([]Partition, error) {
	topics, err := c.adm.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	var out []Partition
	for _, t := range topics.Sorted() {
		if t.Err != nil && !errors.Is(t.Err, kerr.LeaderNotAvailable) {
			return nil, fmt.Errorf("list topics: %s: %w", t.Topic, t.Err)
		}
		for _, p := range t.Partitions.Sorted() {
			out = append(out, Partition{Topic: t.Topic, Partition: p.Partition, Leader: p.Leader, Replicas: p.Replicas, ISR: p.ISR})
		}
	}
	return out, nil
}

// Replica is one copy of a partition on a broker.
type Replica struct {
	Topic     string
	Partition int32
	Bytes     int64
	// Future copies are on their way to another folder of the same broker.
	Future bool
}

// Replicas lists what lies on one broker.
func (c *Client) Replicas(ctx context.Context, broker int32) ([]Replica, error) {
	dirs, err := c.adm.DescribeBrokerLogDirs(ctx, broker, nil)
	if err != nil {
		return nil, fmt.Errorf("log directories of broker %d: %w", broker, err)
	}
	var out []Replica
	var failed error
	dirs.Each(func(d kadm.DescribedLogDir) {
		if d.Err != nil {
			failed = fmt.Errorf("log directory %s of broker %d: %w", d.Dir, broker, d.Err)
		}
		d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			out = append(out, Replica{Topic: p.Topic, Partition: p.Partition, Bytes: p.Size, Future: p.IsFuture})
		})
	})
	return out, failed
}

// CreateTopic creates a topic; one that exists already is no error. partitions
// and factor may be -1 for the cluster's defaults.
func (c *Client) CreateTopic(ctx context.Context, topic string, partitions int32, factor int16, configs map[string]string) error {
	values := map[string]*string{}
	for k, v := range configs {
		values[k] = &v
	}
	_, err := c.adm.CreateTopic(ctx, partitions, factor, values, topic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", topic, err)
	}
	return nil
}

// TopicSetting reads one setting of all topics given: topic to value.
func (c *Client) TopicSetting(ctx context.Context, key string, topics ...string) (map[string]string, error) {
	out := map[string]string{}
	if len(topics) == 0 {
		return out, nil
	}
	rs, err := c.adm.DescribeTopicConfigs(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	for _, r := range rs {
		// A topic may have been deleted meanwhile.
		for _, v := range r.Configs {
			if r.Err == nil && v.Key == key {
				out[r.Name] = v.MaybeValue()
			}
		}
	}
	return out, nil
}

// SetBroker changes dynamic settings of one broker; nil removes one.
func (c *Client) SetBroker(ctx context.Context, broker int32, settings map[string]*string) error {
	rs, err := c.adm.AlterBrokerConfigs(ctx, alterations(settings), broker)
	if err == nil {
		for _, r := range rs {
			err = errors.Join(err, r.Err)
		}
	}
	if err != nil {
		return fmt.Errorf("configure broker %d: %w", broker, err)
	}
	return nil
}

func alterations(settings map[string]*string) []kadm.AlterConfig {
	var out []kadm.AlterConfig
	for k, v := range settings {
		op := kadm.SetConfig
		if v == nil {
			op = kadm.DeleteConfig
		}
		out = append(out, kadm.AlterConfig{Op: op, Name: k, Value: v})
	}
	return out
}

// Unregister tells the controllers to forget a broker; one that they do not
// know is no error.
func (c *Client) Unregister(ctx context.Context, broker int32) error {
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = broker
	resp, err := req.RequestWith(ctx, c.kgo)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil && !errors.Is(err, kerr.BrokerIDNotRegistered) {
		return fmt.Errorf("unregister broker %d: %w", broker, err)
	}
	return nil
}
