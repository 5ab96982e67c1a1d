package main

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// result is one figure of one broker.
type result struct {
	test   string
	what   string
	value  float64
	unit   string
	target float64 // Weir's figure divided by Apache Kafka's; 0: none is set
}

// spent measures the broker's processor time and the wall clock around f.
func spent(b *brokers.Broker, f func() error) (cpu, wall time.Duration, err error) {
	before, err := b.CPU()
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	wall = time.Since(begin)
	after, err := b.CPU()
	return after - before, wall, err
}

const gib = 1 << 30

// throughput produces and consumes one load.
func throughput(b *brokers.Broker, l load, total int64) ([]result, error) {
	topic := fmt.Sprintf("bench-%d-%d-%d-%d", l.recordBytes, l.partitions, l.codec, l.acks+1)
	if err := createTopic(b, topic, l.partitions); err != nil {
		return nil, err
	}
	// The first requests of a JVM are interpreted; neither side is judged by them.
	if err := produce(b, topic, l, total/8); err != nil {
		return nil, err
	}
	cpu, wall, err := spent(b, func() error { return produce(b, topic, l, total) })
	if err != nil {
		return nil, err
	}
	size := float64(total) / gib
	out := []result{
		{l.String(), "produce, CPU per GiB", cpu.Seconds() / size, "s", 0.4},
		{l.String(), "produce, MiB/s", float64(total) / (1 << 20) / wall.Seconds(), "", 0},
	}
	if _, err := consume(b, topic, l); err != nil {
		return nil, err
	}
	var read int64
	cpu, wall, err = spent(b, func() (err error) {
		for range 3 { // short otherwise: the clock of /proc ticks in hundredths
			n, err := consume(b, topic, l)
			if err != nil {
				return err
			}
			read += n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return append(out,
		result{l.String(), "consume, CPU per GiB on the wire", cpu.Seconds() / (float64(read) / gib), "s", 0.8},
		result{l.String(), "consume, MiB/s on the wire", float64(read) / (1 << 20) / wall.Seconds(), "", 0},
	), nil
}

// latency produces one record of 100 bytes at a time at a fixed rate and waits
// in a parked fetch for it: the time from the send to the consumer's hands.
func latency(b *brokers.Broker, rate, count int) ([]result, error) {
	const topic = "bench-latency"
	if err := createTopic(b, topic, 1); err != nil {
		return nil, err
	}
	producer, err := kwire.Dial(b.Addr)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	consumer, err := kwire.Dial(b.Addr)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	warm := count / 4
	took := make([]time.Duration, 0, count)
	sent, failed := make(chan time.Time, count+warm), make(chan error, 1)
	go func() { failed <- produceAtRate(producer, topic, rate, count+warm, sent) }()
	var offset int64
	for len(took) < count+warm {
		data, _, err := fetchOnce(consumer, topic, 0, offset, 1000)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		if len(data) == 0 {
			continue
		}
		for next := nextOffset(data); offset < next; offset++ {
			took = append(took, now.Sub(<-sent))
		}
	}
	if err := <-failed; err != nil {
		return nil, err
	}
	took = took[warm:]
	slices.Sort(took)
	name := fmt.Sprintf("end to end at %d records/s", rate)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	return []result{{name, "p50", at(0.5), "ms", 0}, {name, "p99", at(0.99), "ms", 0.5}}, nil
}

func produceAtRate(c *kwire.Conn, topic string, rate, count int, sent chan<- time.Time) error {
	batch := script.Batch{Base: time.Now().UnixMilli(), Records: []script.Rec{{Value: make([]byte, 100)}}}.Encode()
	frame := c.Frame(produceRequest(topic, 0, 1, batch), 0)
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range count {
		<-tick.C
		binary.BigEndian.PutUint32(frame[8:], uint32(i))
		sent <- time.Now()
		if err := c.Write(frame); err != nil {
			return err
		}
		if _, err := c.ReadFrame(c.Timeout); err != nil {
			return err
		}
	}
	return nil
}

// perTopic is how many partitions one topic gets: Apache Kafka refuses to make
// ten thousand in one request.
const perTopic = 1000

// creation makes many partitions.
func creation(b *brokers.Broker, partitions int32) ([]result, error) {
	before, err := b.Anonymous()
	if err != nil {
		return nil, err
	}
	cpu, wall, err := spent(b, func() error {
		for i := range partitions / perTopic {
			if err := createTopic(b, fmt.Sprintf("bench-many-%d-%d", partitions, i), perTopic); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	after, err := b.Anonymous()
	if err != nil {
		return nil, err
	}
	files, err := b.OpenFiles()
	name := fmt.Sprintf("%d partitions", partitions)
	target := 0.0
	if partitions >= 10000 {
		target = 0.25
	}
	return []result{
		{name, "created in", wall.Seconds(), "s", target},
		{name, "CPU", cpu.Seconds(), "s", 0},
		{name, "anonymous memory added", float64(after-before) / (1 << 20), "MiB", 0},
		{name, "anonymous memory in all", float64(after) / (1 << 20), "MiB", 0.1},
		{name, "open files", float64(files), "", 0},
	}, err
}

// settled is how long a broker is left alone before its memory is read.
const settled = 5 * time.Second

// idle is what a broker costs that has just started.
func idle(b *brokers.Broker) ([]result, error) {
	time.Sleep(settled)
	cpu, err := b.CPU()
	if err != nil {
		return nil, err
	}
	anonymous, err := b.Anonymous()
	const name = "start, empty"
	return []result{
		{name, "ready after", b.Ready.Seconds() * 1000, "ms", 0},
		{name, "CPU", cpu.Seconds(), "s", 0},
		{name, "anonymous memory", float64(anonymous) / (1 << 20), "MiB", 0},
	}, err
}
