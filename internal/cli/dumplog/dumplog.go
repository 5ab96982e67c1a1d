// Package dumplog prints the files of a log directory as Apache Kafka's kafka-dump-log does: log segments and
// snapshots of metadata with their batches and records, offset, time and transaction indexes, and snapshots of
// producer state. It reads whatever bytes it is given, in bounded memory; what Kafka's tool calls corrupt ends the
// dump with Kafka's own exception as the error.
//
// It reads files directly, not through a log, since it must show what a log would refuse. It repairs nothing.
package dumplog

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"
	"strings"
)

// Options say what to dump and how.
type Options struct {
	Files              []string
	Deep               bool    // records too, not only batches
	PrintData          bool    // keys and values too; needs Deep
	Decoder            Decoder // how records are printed
	KeyFormat          Format  // how the Plain decoder prints keys
	ValueFormat        Format  // how the Plain decoder prints values
	SkipRecordMetadata bool    // only keys and values of records
	MaxBytes           int32   // of each log; math.MaxInt32 for all
	MaxMessageSize     int32   // bytes of a log read behind an index entry
	IndexSanityOnly    bool    // check indexes as a starting broker does, print nothing else
	VerifyIndexOnly    bool    // check index entries against the log, do not print them
}

// Dump dumps the files one after the other. Findings that do not stop the dump are printed to errOut at the end.
// An error is a *JavaError where Kafka's tool would die of an exception; what was dumped before is printed.
func Dump(o Options, out, errOut io.Writer) error {
	w := bufio.NewWriterSize(out, 64<<10)
	d := &dumper{Options: o, out: w, errOut: errOut}
	err := d.all()
	if flushErr := w.Flush(); err == nil {
		err = flushErr
	}
	if err == nil {
		d.printFindings()
	}
	return err
}

// dumper is one run. Owned by one goroutine.
type dumper struct {
	Options
	out    *bufio.Writer
	errOut io.Writer

	indexMismatches findings
	nonConsecutive  findings
	timeMismatches  findings
	timeOutOfOrder  findings
	timeNotFound    findings
	line            []byte // scratch of the line that is being made
}

func (d *dumper) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

func (d *dumper) all() error {
	for _, path := range d.Files {
		path = javaPath(path)
		d.printf("Dumping %s\n", path)
		if err := d.file(path); err != nil {
			return err
		}
	}
	return nil
}

func (d *dumper) file(path string) error {
	name := filepath.Base(path)
	switch suffix := name[max(strings.LastIndexByte(name, '.'), 0):]; {
	case suffix == ".log", suffix == ".checkpoint":
		return d.log(path)
	case suffix == ".index":
		return d.index(path)
	case suffix == ".timeindex":
		return d.timeIndex(path)
	case suffix == ".snapshot":
		return d.producerSnapshot(path)
	case suffix == ".txnindex":
		return d.txnIndex(path)
	}
	// Both streams often are the same terminal: keep their order.
	if err := d.out.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(d.errOut, "Ignoring unknown file %s\n", path)
	return nil
}

// javaPath is a path as Java's File prints it: no doubled and no trailing slashes, everything else as given.
func javaPath(path string) string {
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path
}

// offsetInName is the offset that a file's name starts with.
func offsetInName(path string) (int64, error) {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	n, err := strconv.ParseInt(name, 10, 64)
	if err != nil {
		return 0, &JavaError{"java.lang.NumberFormatException", fmt.Sprintf("For input string: \"%s\"", name)}
	}
	return n, nil
}

// sibling is the file of the same segment with another suffix.
func sibling(path, suffix string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	return filepath.Join(filepath.Dir(absolute(path)), name+suffix)
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil && !filepath.IsAbs(path) {
		return a
	}
	return path
}

func (d *dumper) printFindings() {
	print := func(title, line string, f findings) {
		for _, file := range f.order {
			fmt.Fprintf(d.errOut, title+"\n", file)
			for _, p := range f.pairs[file] {
				fmt.Fprintf(d.errOut, line+"\n", p[0], p[1])
			}
		}
	}
	d.indexMismatches.sort(func(a, b int64) int { return cmp.Compare(b, a) })
	d.nonConsecutive.sort(cmp.Compare[int64])
	print("Mismatches in :%s", "  Index offset: %d, log offset: %d", d.indexMismatches)
	print("Found timestamp mismatch in :%s", "  Index timestamp: %d, log timestamp: %d", d.timeMismatches)
	print("Found out of order timestamp in :%s", "  Index timestamp: %d, Previously indexed timestamp: %d", d.timeOutOfOrder)
	print("The following indexed offsets are not found in :%s", "Indexed offset: %d, found log offset: %d", d.timeNotFound)
	print("Non-consecutive offsets in %s", "  %d is followed by %d", d.nonConsecutive)
}

// printStart says where a log or a snapshot starts.
func (d *dumper) printStart(path string) error {
	name := baseName(path)
	switch {
	case strings.HasSuffix(name, ".log"):
		start, err := offsetInName(path)
		if err != nil {
			return err
		}
		d.printf("Log starting offset: %d\n", start)
	case name == "bootstrap.checkpoint":
		d.printf("KRaft bootstrap snapshot\n")
	default:
		if len(name) < snapshotDigits {
			return &JavaError{"java.lang.StringIndexOutOfBoundsException", fmt.Sprintf("begin 0, end %d, length %d", snapshotDigits, len(name))}
		}
		end, epoch, ok := snapshotID(name)
		if !ok {
			return &JavaError{"java.util.NoSuchElementException", "No value present"}
		}
		d.printf("Snapshot end offset: %d, epoch: %d\n", end, epoch)
	}
	return nil
}

// snapshotDigits is the width of the offset in the name of a snapshot.
const snapshotDigits = 20

// snapshotID reads the name of a snapshot of metadata: 20 digits of offset, a dash, 10 digits of epoch.
func snapshotID(name string) (offset, epoch int64, ok bool) {
	if len(name) < snapshotDigits+11 || name[snapshotDigits] != '-' {
		return 0, 0, false
	}
	offset, err := strconv.ParseInt(name[:snapshotDigits], 10, 64)
	if err != nil {
		return 0, 0, false
	}
	epoch, err = strconv.ParseInt(name[snapshotDigits+1:snapshotDigits+11], 10, 32)
	return offset, epoch, err == nil
}

// noLimit is the --max-bytes that stands for the whole file.
const noLimit = math.MaxInt32
