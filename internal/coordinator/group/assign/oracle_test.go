package assign

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAssignorsAgainstKafka (WEIR_KAFKA_DIST, a JDK) has Apache Kafka's own assignors answer thousands of groups. The ids of
// topics are such that Java's hash tables keep them in order, so that the answers are the same to the partition.
func TestAssignorsAgainstKafka(t *testing.T) {
	dist := os.Getenv("WEIR_KAFKA_DIST")
	if dist == "" {
		t.Skip("WEIR_KAFKA_DIST is not set")
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("there is no java")
	}
	var in bytes.Buffer
	var want []string
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := newScene(r, seed%2 == 0)
		name, assign := UniformName, Uniform
		if seed%5 == 0 {
			name, assign = RangeName, Range
		}
		for range 1 + r.IntN(8) {
			s.change(r)
			g := s.group()
			got, err := assign(g)
			if err != nil {
				t.Fatal(err)
			}
			ask(&in, name, s, g)
			want = append(want, lines(g, got))
			s.target = got
			if got == nil {
				s.target = map[string]Partitions{}
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "java", "-cp", filepath.Join(dist, "libs", "*"), "testdata/Assign.java")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	answers := strings.Split(strings.TrimSuffix(string(out), "--\n"), "--\n")
	if len(answers) != len(want) {
		t.Fatalf("%d answers to %d questions", len(answers), len(want))
	}
	for i := range want {
		if answers[i] != want[i] {
			t.Fatalf("question %d: Apache Kafka answers\n%swe\n%s", i, answers[i], want[i])
		}
	}
	t.Logf("%d answers are the same", len(want))
}

func ask(w *bytes.Buffer, name string, s *scene, g *Group) {
	homogeneous := 0
	if s.same {
		homogeneous = 1
	}
	fmt.Fprint(w, name, " ", homogeneous, " ", len(s.counts))
	for _, n := range s.counts {
		fmt.Fprint(w, " ", n)
	}
	fmt.Fprintln(w, "", len(g.Members))
	for _, id := range slices.Sorted(maps.Keys(g.Members)) {
		m, instance := g.Members[id], "-"
		if m.InstanceID != nil {
			instance = *m.InstanceID
		}
		fmt.Fprint(w, id, " ", instance, " ", len(m.Topics))
		for _, t := range m.Topics {
			fmt.Fprint(w, " ", t[15])
		}
		fmt.Fprint(w, " ", m.Target.Len())
		for _, t := range m.Target.Topics() {
			for _, p := range m.Target[t] {
				fmt.Fprint(w, " ", t[15], " ", p)
			}
		}
		fmt.Fprintln(w)
	}
}
