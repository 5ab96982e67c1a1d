// Command bench runs Weir and Apache Kafka beside each other and compares what
// they cost: the same load from the same light generator, one broker after the
// other, and the broker's own processor time read from /proc, because the
// generator shares the machine. It needs Linux, a JVM and Maven.
//
// A table can be made in pieces: -write replaces the rows that were measured and
// keeps the others.
//
//	go run ./bench [-quick] [-only REGEXP] [-side weir|apache] [-write docs/BENCHMARKS.md]
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "few and short loads")
	flag.StringVar(&o.write, "write", "", "put the table into this `file`, between its marks")
	flag.StringVar(&o.binary, "weir", "bin/weir", "the `binary` to measure")
	flag.Int64Var(&o.mib, "mib", 0, "values to produce in each load, in `MiB` (256; with -quick 64)")
	flag.StringVar(&o.side, "side", "", "measure only weir or `apache`")
	flag.IntVar(&o.rounds, "rounds", 3, "times that each load is measured on each side, in turn; the table has the medians")
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
	mib           int64
	side          string // weir or apache; empty: both
	rounds        int    // of each load
}

// test is one measurement, made on each side in turn, of one broker or of three.
type test struct {
	name  string
	load  bool // can be repeated: leaves nothing behind
	run   func(*brokers.Broker) ([]result, error)
	three func(trio, context.Context) ([]result, error)
}

// total is how many bytes of values a load produces.
func (o options) total() int64 {
	switch {
	case o.mib > 0:
		return o.mib << 20
	case o.quick:
		return 64 << 20
	}
	return 256 << 20
}

func tests(ctx context.Context, o options, client *tls.Config) []test {
	quick, total, count := o.quick, o.total(), 4000
	if quick {
		count = 500
	}
	out := []test{{name: "start", run: idle}}
	for _, l := range append(loads(quick), securedLoads(quick, client)...) {
		out = append(out, test{name: l.String(), load: true, run: func(b *brokers.Broker) ([]result, error) { return throughput(b, l, total) }})
	}
	out = append(out,
		test{name: "latency", load: true, run: func(b *brokers.Broker) ([]result, error) { return latency(b, 200, count) }},
		test{name: "transactions", load: true, run: func(b *brokers.Broker) ([]result, error) { return transactions(ctx, b, 10, count/40) }},
		test{name: "1000 partitions", run: func(b *brokers.Broker) ([]result, error) { return creation(b, 1000) }},
	)
	if !quick {
		out = append(out,
			test{name: "restart", run: func(b *brokers.Broker) ([]result, error) { return restart(ctx, b, 5000) }},
			test{name: "10000 partitions", run: func(b *brokers.Broker) ([]result, error) { return creation(b, 10000) }},
		)
	}
	return out
}

func loads(quick bool) []load {
	if quick {
		return []load{{100, 1, 0, 1, nil}, {1024, 6, 3, -1, nil}}
	}
	var out []load
	for _, size := range []int{100, 1024} {
		for _, partitions := range []int32{1, 6} {
			for _, codec := range []int{0, 3, 4} {
				for _, acks := range []int16{1, -1} {
					out = append(out, load{size, partitions, codec, acks, nil})
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

// measure makes the tests of one node on both sides, then those of three.
func measure(ctx context.Context, o options) ([]pair, error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out, err := measureOne(ctx, o, dir)
	if err != nil || o.quick {
		return out, err
	}
	if slices.ContainsFunc(clusterTests(), func(t test) bool { return o.only.MatchString(t.name) }) {
		three, err := measureCluster(ctx, o, dir)
		if out = append(out, three...); err != nil {
			return out, err
		}
	}
	if o.side != "apache" && o.only.MatchString(scaleName) {
		many, err := measureScale(ctx, o, dir)
		return append(out, many...), err
	}
	return out, nil
}

// measureOne starts a broker of each side and gives each test to one after the other.
func measureOne(ctx context.Context, o options, dir string) ([]pair, error) {
	props, client, err := makeCertificate(dir + "/certs")
	if err != nil {
		return nil, err
	}
	chosen := slices.DeleteFunc(tests(ctx, o, client), func(t test) bool { return !o.only.MatchString(t.name) })
	if len(chosen) == 0 {
		return nil, nil
	}
	sides, err := start(ctx, o, dir, props)
	for _, b := range sides {
		defer b.Kill()
	}
	if err != nil {
		return nil, err
	}
	var out []pair
	for _, t := range chosen {
		if ctx.Err() != nil {
			break
		}
		fmt.Fprintln(os.Stderr, "measuring", t.name)
		pairs, err := t.measure(sides, o.rounds)
		if err != nil {
			return out, err
		}
		out = append(out, pairs...)
	}
	return out, ctx.Err()
}

// measure runs the test on one side after the other, a load several times, and returns the medians.
func (t test) measure(sides []*brokers.Broker, rounds int) ([]pair, error) {
	if !t.load {
		rounds = 1
	}
	var out []pair
	all := make([][][]result, len(sides)) // of each side, of each round
	for range rounds {
		for i, b := range sides {
			results, err := t.run(b)
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", t.name, b.Name(), err)
			}
			all[i] = append(all[i], results)
		}
	}
	for i, b := range sides {
		out = join(out, medians(all[i]), b.Name() == "apache")
	}
	return out, nil
}

// medians is the median of each figure over the rounds.
func medians(rounds [][]result) []result {
	out := slices.Clone(rounds[0])
	for i := range out {
		var values []float64
		for _, r := range rounds {
			values = append(values, r[i].value)
		}
		slices.Sort(values)
		out[i].value = values[len(values)/2]
	}
	return out
}

// start starts the brokers to measure. props are of their TLS.
func start(ctx context.Context, o options, dir string, props map[string]string) ([]*brokers.Broker, error) {
	// What a load wrote goes when it was measured, so that the next one finds memory that is in use already and not
	// pages that the machine has to find first.
	maps.Copy(props, map[string]string{"log.retention.ms": "-1", "num.partitions": "1", "log.segment.delete.delay.ms": "0"})
	extra := map[string]string{tlsListener: "SSL"}
	var out []*brokers.Broker
	if o.side != "apache" {
		b, err := brokers.Start(ctx, brokers.Config{Binary: o.binary, Dir: dir + "/weir", Props: props, Port: 20900, Extra: extra})
		if err != nil {
			return out, err
		}
		out = append(out, b)
	}
	if o.side == "weir" {
		return out, nil
	}
	dist, err := kafkadist.Ensure(ctx, kafkadist.Current, os.Stderr)
	if err != nil {
		return out, err
	}
	b, err := brokers.Start(ctx, brokers.Config{Dist: dist, Dir: dir + "/apache", Props: props, Port: 20950, Extra: extra})
	if err != nil {
		return out, err
	}
	return append(out, b), nil
}

// join puts the figures of one side beside those of the other. A side that is not measured has none.
func join(out []pair, results []result, apache bool) []pair {
	if out == nil {
		out = make([]pair, len(results))
	}
	for i, r := range results {
		if apache {
			out[i].apache = r.value
			r.value = out[i].value
		}
		out[i].result = r
	}
	return out
}

const head = "| test | figure | Weir | Apache Kafka | ratio | wanted |\n| --- | --- | ---: | ---: | ---: | --- |\n"

// table is Markdown, one row per figure.
func table(pairs []pair) string {
	var b strings.Builder
	b.WriteString(head)
	for _, p := range pairs {
		ratio := p.value / p.apache
		if p.apache == 0 {
			fmt.Fprintf(&b, "| %s | %s | %.4g %s | not measured | | %s |\n", p.test, p.what, p.value, p.unit, p.target.judge(p.result, 0))
			continue
		}
		fmt.Fprintf(&b, "| %s | %s | %.4g %s | %.4g %s | %.2f | %s |\n", p.test, p.what, p.value, p.unit, p.apache, p.unit, ratio, p.target.judge(p.result, ratio))
	}
	return b.String()
}

// merge replaces the rows of old that text has anew and appends those that are not there yet.
func merge(old, text string) string {
	key := func(row string) string {
		if f := strings.SplitN(row, "|", 4); len(f) == 4 {
			return f[1] + "|" + f[2]
		}
		return row
	}
	fresh := map[string]string{}
	var order []string
	for row := range strings.Lines(strings.TrimPrefix(text, head)) {
		fresh[key(row)] = row
		order = append(order, key(row))
	}
	var b strings.Builder
	b.WriteString(head)
	for row := range strings.Lines(strings.TrimPrefix(old, head)) {
		if now, ok := fresh[key(row)]; ok {
			row = now
			delete(fresh, key(row))
		}
		b.WriteString(row)
	}
	for _, k := range order {
		b.WriteString(fresh[k])
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
	before, rest, ok := strings.Cut(string(old), begin)
	rows, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no marks %q and %q", path, begin, end)
	}
	return os.WriteFile(path, []byte(before+begin+merge(rows, text)+end+tail), 0o644)
}
