// Command bench runs Weir and Apache Kafka beside each other and compares what
// they cost: the same load from the same light generator, one broker after the
// other, and the broker's own processor time read from /proc, because the
// generator shares the machine. It needs Linux, a JVM and Maven.
//
//	go run ./bench [-quick] [-only REGEXP] [-write docs/BENCHMARKS.md]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "few and short loads")
	flag.StringVar(&o.write, "write", "", "put the table into this `file`, between its marks")
	flag.StringVar(&o.binary, "weir", "bin/weir", "the `binary` to measure")
	only := flag.String("only", "", "measure only tests whose name matches this `expression`")
	flag.Parse()
	o.only = regexp.MustCompile(*only)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

type options struct {
	quick         bool
	only          *regexp.Regexp
	write, binary string
}

// test is one measurement, made on each broker in turn.
type test struct {
	name string
	run  func(*brokers.Broker) ([]result, error)
}

func tests(quick bool) []test {
	total, count := int64(256<<20), 4000
	if quick {
		total, count = 64<<20, 500
	}
	out := []test{{"start", idle}}
	for _, l := range loads(quick) {
		out = append(out, test{l.String(), func(b *brokers.Broker) ([]result, error) { return throughput(b, l, total) }})
	}
	out = append(out,
		test{"latency", func(b *brokers.Broker) ([]result, error) { return latency(b, 200, count) }},
		test{"1000 partitions", func(b *brokers.Broker) ([]result, error) { return creation(b, 1000) }},
	)
	if !quick {
		out = append(out, test{"10000 partitions", func(b *brokers.Broker) ([]result, error) { return creation(b, 10000) }})
	}
	return out
}

func loads(quick bool) []load {
	if quick {
		return []load{{100, 1, 0, 1}, {1024, 6, 3, -1}}
	}
	var out []load
	for _, size := range []int{100, 1024} {
		for _, partitions := range []int32{1, 6} {
			for _, codec := range []int{0, 3, 4} {
				for _, acks := range []int16{1, -1} {
					out = append(out, load{size, partitions, codec, acks})
				}
			}
		}
	}
	return out
}

// pair is a figure of both sides.
type pair struct {
	result
	apache float64
}

func run(ctx context.Context, o options) error {
	pairs, err := measure(ctx, o)
	text := table(pairs)
	fmt.Print(text) // what was measured before a failure, too
	if err != nil {
		return err
	}
	if o.write == "" {
		return nil
	}
	return writeTable(o.write, text)
}

// measure starts both brokers and gives each test to one after the other.
func measure(ctx context.Context, o options) ([]pair, error) {
	dist, err := kafkadist.Ensure(ctx, kafkadist.Current, os.Stderr)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	props := map[string]string{"log.retention.ms": "-1", "num.partitions": "1"}
	weir, err := brokers.Start(ctx, brokers.Config{Binary: o.binary, Dir: dir + "/weir", Props: props, Port: 20900})
	if err != nil {
		return nil, err
	}
	defer weir.Kill()
	apache, err := brokers.Start(ctx, brokers.Config{Dist: dist, Dir: dir + "/apache", Props: props, Port: 20950})
	if err != nil {
		return nil, err
	}
	defer apache.Kill()
	var out []pair
	for _, t := range tests(o.quick) {
		if !o.only.MatchString(t.name) || ctx.Err() != nil {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring", t.name)
		ours, err := t.run(weir)
		if err != nil {
			return out, fmt.Errorf("%s: weir: %w", t.name, err)
		}
		theirs, err := t.run(apache)
		if err != nil {
			return out, fmt.Errorf("%s: apache: %w", t.name, err)
		}
		for i := range ours {
			out = append(out, pair{ours[i], theirs[i].value})
		}
	}
	return out, ctx.Err()
}

// table is Markdown, one row per figure.
func table(pairs []pair) string {
	var b strings.Builder
	b.WriteString("| test | figure | Weir | Apache Kafka | ratio | wanted |\n| --- | --- | ---: | ---: | ---: | --- |\n")
	for _, p := range pairs {
		wanted := ""
		ratio := p.value / p.apache
		if p.target > 0 {
			wanted = fmt.Sprintf("≤ %g", p.target)
			if ratio > p.target {
				wanted += " **missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %.4g %s | %.4g %s | %.2f | %s |\n", p.test, p.what, p.value, p.unit, p.apache, p.unit, ratio, wanted)
	}
	return b.String()
}

// The marks between which a file's table stands.
const begin, end = "<!-- bench: begin -->\n", "<!-- bench: end -->"

func writeTable(path, text string) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no marks %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(head+begin+text+end+tail), 0o644)
}
