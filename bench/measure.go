package main

import (
	"context"
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
	target wanted
}

// wanted is what Weir's figure should be; zero where nothing is set.
type wanted struct {
	most, least float64 // of it divided by Apache Kafka's
	below       float64 // of it alone, in its unit
}

// ratio is the usual goal: at most so much of Apache Kafka's.
func ratio(most float64) wanted { return wanted{most: most} }

// judge says what was wanted and whether it was missed.
func (w wanted) judge(r result, ratio float64) string {
	text, missed := "", false
	switch {
	case w.most > 0:
		text, missed = fmt.Sprintf("≤ %g", w.most), ratio > w.most
	case w.least > 0:
		text, missed = fmt.Sprintf("≥ %g", w.least), ratio < w.least
	case w.below > 0:
		text, missed = fmt.Sprintf("< %g %s", w.below, r.unit), r.value >= w.below
	}
	if missed {
		text += " **missed**"
	}
	return text
}

// spent measures the processor time of the brokers and the wall clock around f.
func spent(f func() error, all ...*brokers.Broker) (cpu, wall time.Duration, err error) {
	before, err := used(all)
	if err != nil {
		return 0, 0, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	wall = time.Since(begin)
	after, err := used(all)
	return after - before, wall, err
}

func used(all []*brokers.Broker) (sum time.Duration, err error) {
	for _, b := range all {
		cpu, err := b.CPU()
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

const gib = 1 << 30

// throughput produces and consumes one load.
func throughput(b *brokers.Broker, l load, total int64) ([]result, error) {
	topic := freshTopic()
	produceGoal, consumeGoal := ratio(0.4), ratio(0.8)
	if l.tls != nil {
		produceGoal, consumeGoal = ratio(0.5), ratio(0.5)
	}
	if err := createTopic(b, topic, l.partitions); err != nil {
		return nil, err
	}
	// The first requests of a JVM are interpreted; neither side is judged by them.
	if err := produce(l.of(b), topic, l, total/8); err != nil {
		return nil, err
	}
	cpu, wall, err := spent(func() error { return produce(l.of(b), topic, l, total) }, b)
	if err != nil {
		return nil, err
	}
	size := float64(total) / gib
	out := []result{
		{l.String(), "produce, CPU per GiB", cpu.Seconds() / size, "s", produceGoal},
		{l.String(), "produce, MiB/s", float64(total) / (1 << 20) / wall.Seconds(), "", wanted{}},
	}
	if _, err := consume(b, topic, l); err != nil {
		return nil, err
	}
	var read int64
	cpu, wall, err = spent(func() (err error) {
		for range 3 { // short otherwise: the clock of /proc ticks in hundredths
			n, err := consume(b, topic, l)
			if err != nil {
				return err
			}
			read += n
		}
		return nil
	}, b)
	if err != nil {
		return nil, err
	}
	if err := deleteTopic(topic, b); err != nil {
		return nil, err
	}
	return append(out,
		result{l.String(), "consume, CPU per GiB on the wire", cpu.Seconds() / (float64(read) / gib), "s", consumeGoal},
		result{l.String(), "consume, MiB/s on the wire", float64(read) / (1 << 20) / wall.Seconds(), "", wanted{}},
	), nil
}

// latency produces one record of 100 bytes at a time at a fixed rate and waits
// in a parked fetch for it: the time from the send to the consumer's hands.
func latency(b *brokers.Broker, rate, count int) ([]result, error) {
	topic := freshTopic()
	if err := createTopic(b, topic, 1); err != nil {
		return nil, err
	}
	defer deleteTopic(topic, b) //nolint:errcheck // it is small
	return endToEnd(fmt.Sprintf("end to end at %d records/s", rate), b.Addr, topic, 1, rate, count)
}

func endToEnd(name, addr, topic string, acks int16, rate, count int) ([]result, error) {
	producer, err := kwire.Dial(addr)
	if err != nil {
		return nil, err
	}
	defer producer.Close()
	consumer, err := kwire.Dial(addr)
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	warm := count / 4
	took := make([]time.Duration, 0, count)
	sent, failed := make(chan time.Time, count+warm), make(chan error, 1)
	go func() { failed <- produceAtRate(producer, topic, acks, rate, count+warm, sent) }()
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
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	return []result{{name, "p50", at(0.5), "ms", wanted{}}, {name, "p99", at(0.99), "ms", ratio(0.5)}}, nil
}

func produceAtRate(c *kwire.Conn, topic string, acks int16, rate, count int, sent chan<- time.Time) error {
	batch := script.Batch{Base: time.Now().UnixMilli(), Records: []script.Rec{{Value: make([]byte, 100)}}}.Encode()
	frame := c.Frame(produceRequest(topic, 0, acks, batch), 0)
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
	cpu, wall, err := spent(func() error {
		for i := range partitions / perTopic {
			if err := createTopic(b, fmt.Sprintf("bench-many-%d-%d", partitions, i), perTopic); err != nil {
				return err
			}
		}
		return nil
	}, b)
	if err != nil {
		return nil, err
	}
	after, err := b.Anonymous()
	if err != nil {
		return nil, err
	}
	files, err := b.OpenFiles()
	name := fmt.Sprintf("%d partitions", partitions)
	target := wanted{}
	if partitions >= 10000 {
		target = ratio(0.25)
	}
	return []result{
		{name, "created in", wall.Seconds(), "s", target},
		{name, "CPU", cpu.Seconds(), "s", wanted{}},
		{name, "anonymous memory added", float64(after-before) / (1 << 20), "MiB", wanted{}},
		{name, "anonymous memory in all", float64(after) / (1 << 20), "MiB", ratio(0.1)},
		{name, "open files", float64(files), "", wanted{}},
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
		{name, "ready after", b.Ready.Seconds() * 1000, "ms", wanted{below: 150}},
		{name, "CPU", cpu.Seconds(), "s", wanted{}},
		{name, "anonymous memory", float64(anonymous) / (1 << 20), "MiB", wanted{below: 40}},
	}, err
}

// restart makes many partitions in a broker of its own, stops it in order and
// measures how long it takes until it leads all of them again.
func restart(ctx context.Context, beside *brokers.Broker, partitions int32) ([]result, error) {
	name := fmt.Sprintf("restart with %d partitions", partitions)
	c := beside.Config
	c.Dir += "-restart"
	b, err := brokers.Start(ctx, c)
	if err != nil {
		return nil, err
	}
	defer b.Kill()
	var topics []string
	for i := range partitions / perTopic {
		topic := fmt.Sprintf("bench-restart-%d", i)
		if err := createTopic(b, topic, perTopic); err != nil {
			return nil, err
		}
		topics = append(topics, topic)
	}
	begin := time.Now()
	if err := b.Stop(); err != nil {
		return nil, err
	}
	stopped := time.Since(begin)
	begin = time.Now()
	if err := b.Run(ctx); err != nil {
		return nil, err
	}
	conn, err := kwire.Dial(b.Addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for _, topic := range topics {
		if err := awaitLeaders(conn, topic, perTopic); err != nil {
			return nil, err
		}
	}
	return []result{
		{name, "all led after", time.Since(begin).Seconds(), "s", ratio(0.1)},
		{name, "stop before that", stopped.Seconds(), "s", wanted{}},
	}, nil
}
