// Command testsum reads what `go test -json` prints, shows failures in full and
// everything else in one line per package, and counts tests. With -o it adds
// its counts to a file; with -total it adds up such files, prints the closing
// line and says by its exit code whether the whole run is good. It runs nothing
// itself.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

func main() {
	out := flag.String("o", "", "append the counts to this `file`")
	name := flag.String("name", "test", "`name` of this run in the file")
	total := flag.String("total", "", "add up the counts of this `file` and end")
	flag.Parse()
	if *total != "" {
		os.Exit(closing(*total, os.Stdout))
	}
	c := read(os.Stdin, os.Stdout)
	if *out != "" {
		if err := c.save(*out, *name); err != nil {
			fmt.Fprintln(os.Stderr, "testsum:", err)
			os.Exit(1)
		}
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped\n", *name, c.Passed, c.Failed, len(c.Skips))
	if c.Failed > 0 || c.Passed == 0 {
		os.Exit(1)
	}
}

// counts is what a run of tests came to.
type counts struct {
	Name   string
	Passed int
	Failed int
	Skips  []string // "package.Test: reason"

	blamed map[string]bool // packages with a failed test of their own
}

// event is one line of `go test -json`.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64
}

// read consumes a stream of events and prints what a person wants to see.
func read(r io.Reader, w io.Writer) counts {
	var c counts
	output := map[string][]string{} // by package and test
	started := map[string]bool{}
	parents := map[string]bool{} // tests with sub-tests are not counted themselves
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 1<<26)
	for sc.Scan() {
		var e event
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			fmt.Fprintln(w, sc.Text()) // the go command itself has something to say
			continue
		}
		key := e.Package + "\x00" + e.Test
		switch e.Action {
		case "run":
			started[key] = true
			if i := strings.LastIndex(e.Test, "/"); i > 0 {
				parents[e.Package+"\x00"+e.Test[:i]] = true
			}
		case "output":
			output[key] = append(output[key], e.Output)
		case "build-output":
			fmt.Fprint(w, e.Output)
		case "pass", "fail", "skip":
			delete(started, key)
			c.end(e, output[key], parents[key], w)
			delete(output, key)
		}
	}
	unfinished := make([]string, 0, len(started))
	for key := range started {
		unfinished = append(unfinished, key)
	}
	sort.Strings(unfinished)
	for _, key := range unfinished {
		fmt.Fprintf(w, "FAIL %s never ended\n%s", strings.ReplaceAll(key, "\x00", " "), strings.Join(output[key], ""))
		c.Failed++
	}
	return c
}

func (c *counts) end(e event, output []string, parent bool, w io.Writer) {
	name := strings.TrimPrefix(e.Package, "github.com/weir-stream/weir/")
	if e.Test == "" {
		switch e.Action {
		case "fail":
			// A package fails for its tests, which are counted, or on its own: a build, TestMain, a data race.
			fmt.Fprintf(w, "FAIL %s (%.1fs)\n%s", name, e.Elapsed, strings.Join(output, ""))
			if !c.blamed[e.Package] {
				c.Failed++
			}
		case "pass":
			fmt.Fprintf(w, "ok   %s (%.1fs)\n", name, e.Elapsed)
		}
		return
	}
	switch e.Action {
	case "pass":
		if !parent {
			c.Passed++
		}
	case "fail":
		fmt.Fprintf(w, "FAIL %s.%s\n%s", name, e.Test, strings.Join(output, ""))
		if c.blamed == nil {
			c.blamed = map[string]bool{}
		}
		c.blamed[e.Package] = true
		if !parent {
			c.Failed++
		}
	case "skip":
		// What another stage runs, or only a person does to record answers, is not missing here.
		if why := reason(output); !strings.Contains(why, ": elsewhere: ") {
			c.Skips = append(c.Skips, name+"."+e.Test+": "+why)
		}
	}
}

// reason is the text that the test gave to Skip.
func reason(output []string) string {
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason given"
}

func (c counts) save(path, name string) error {
	c.Name = name
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	return f.Close()
}

// closing prints the sum of all runs of a file and returns the exit code. What
// was skipped fails a run under CI=true: there everything must be installable.
// The exception is a test that is only there for who asks for it by a variable
// (WEIR_…, which its reason names): it counts as skipped and fails nothing.
func closing(path string, w io.Writer) int {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(w, "testsum:", err)
		return 1
	}
	var passed, failed, skipped, missing int
	for line := range strings.Lines(string(text)) {
		var c counts
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			fmt.Fprintln(w, "testsum:", path, err)
			return 1
		}
		fmt.Fprintf(w, "%-12s %6d passed %4d failed %4d skipped\n", c.Name, c.Passed, c.Failed, len(c.Skips))
		passed, failed, skipped = passed+c.Passed, failed+c.Failed, skipped+len(c.Skips)
		for _, s := range c.Skips {
			fmt.Fprintln(w, "  SKIPPED", s)
			if !strings.Contains(s, "WEIR_") {
				missing++
			}
		}
	}
	if skipped > 0 {
		fmt.Fprintf(w, "SKIPPED %d\n", skipped)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 || passed == 0 || missing > 0 && os.Getenv("CI") == "true" {
		return 1
	}
	return 0
}
