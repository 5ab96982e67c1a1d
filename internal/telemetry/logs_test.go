package telemetry

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"testing"
)

func TestLevelsOfRooms(t *testing.T) {
	var out bytes.Buffer
	logs := NewLogs(&out, slog.LevelInfo, false)
	replica, quorum := logs.Logger("replica"), logs.Logger("quorum")
	replica.Debug("hidden")
	logs.SetLevel("replica", slog.LevelDebug)
	replica.Debug("shown", "partition", "a-0", "err", "two words")
	quorum.Debug("hidden too")
	logs.SetLevel(RootLogger, LevelTrace)
	quorum.Log(t.Context(), LevelTrace, "all")
	logs.Unset("replica")
	logs.SetLevel(RootLogger, slog.LevelError)
	replica.Warn("hidden again")
	got := regexp.MustCompile(`\[[^\]]*\]`).ReplaceAllString(out.String(), "[T]")
	want := "[T] DEBUG shown partition=a-0 err=\"two words\" (replica)\n[T] TRACE all (quorum)\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if logs.Level("replica") != slog.LevelError || strings.Join(logs.Names(), ",") != "quorum,replica" {
		t.Errorf("level %v of %v", logs.Level("replica"), logs.Names())
	}
}

func TestLogLayout(t *testing.T) {
	var out bytes.Buffer
	NewLogs(&out, slog.LevelInfo, false).Logger("log").With("dir", "/d").WithGroup("g").Info("rolled", "n", 1, slog.Group("seg", "base", 7))
	if ok, _ := regexp.MatchString(`^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\] INFO rolled dir=/d g\.n=1 g\.seg\.base=7 \(log\)\n$`, out.String()); !ok {
		t.Errorf("line = %q", out.String())
	}
	out.Reset()
	NewLogs(&out, slog.LevelInfo, true).Logger("log").Info("rolled", "n", 1)
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line["logger"] != "log" || line["n"] != 1.0 {
		t.Errorf("line = %q %v", out.String(), err)
	}
}

func TestLevelNames(t *testing.T) {
	for _, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		l, ok := ParseLevel(name)
		if !ok || LevelName(l) != name {
			t.Errorf("%s is read as %v", name, l)
		}
	}
	if _, ok := ParseLevel("LOUD"); ok {
		t.Error("an unknown level is accepted")
	}
}
