package sqlite

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

func openIn(t *testing.T, dir string) *DB {
	t.Helper()
	d, err := open(t.Context(), dir, 50)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestRevisions(t *testing.T) {
	ctx, d := t.Context(), openIn(t, t.TempDir())
	put := func(body string, rev int64) (int64, error) { return d.Put(ctx, "k", "a", []byte(body), rev) }
	if _, err := d.Get(ctx, "k", "a"); !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	one, err := put("1", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := put("x", 0); !errors.Is(err, store.ErrConflict) {
		t.Error("made twice:", err)
	}
	two, err := put("2", one)
	if err != nil || two <= one {
		t.Fatal(two, err)
	}
	if _, err := put("x", one); !errors.Is(err, store.ErrConflict) {
		t.Error("written over:", err)
	}
	if err := d.Delete(ctx, "k", "a", one); !errors.Is(err, store.ErrConflict) {
		t.Error("deleted over:", err)
	}
	if doc, err := d.Get(ctx, "k", "a"); err != nil || string(doc.Body) != "2" || doc.Revision != two {
		t.Error(doc, err)
	}
	if err := d.Delete(ctx, "k", "a", two); err != nil {
		t.Error(err)
	}
	if err := d.Delete(ctx, "k", "a", two); !errors.Is(err, store.ErrNotFound) {
		t.Error(err)
	}
	if three, err := put("3", 0); err != nil || three <= two {
		t.Error("a revision came back:", three, err)
	}
}

func TestList(t *testing.T) {
	ctx, d := t.Context(), openIn(t, t.TempDir())
	for _, k := range []string{"a/1", "a/2", "a/3", "b/1", "a%/9"} {
		if _, err := d.Put(ctx, "k", k, []byte("{}"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		prefix, before string
		limit          int
		want           string
	}{
		{"", "", 0, "b/1 a/3 a/2 a/1 a%/9"}, {"a/", "", 0, "a/3 a/2 a/1"}, {"a/", "a/3", 1, "a/2"}, {"a%", "", 0, "a%/9"}, {"z", "", 0, ""},
	} {
		docs, err := d.List(ctx, "k", tc.prefix, tc.limit, tc.before)
		var keys []string
		for _, doc := range docs {
			keys = append(keys, doc.Key)
		}
		if got := strings.Join(keys, " "); got != tc.want || err != nil {
			t.Errorf("%+v: %q %v", tc, got, err)
		}
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "with space?#%", "d")
	openIn(t, dir)
	for _, name := range []string{fileName, fileName + "-wal", holderName} {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, st, err)
		}
	}
}

func TestOneProcess(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	_, err := Open(t.Context(), dir)
	if !errors.Is(err, ErrHeld) || !strings.Contains(err.Error(), fmt.Sprintf("%s (pid %d)", dir, os.Getpid())) {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	openIn(t, dir)
}

func TestFullDisk(t *testing.T) {
	ctx, d := t.Context(), openIn(t, t.TempDir())
	rev, err := d.Put(ctx, "k", "a", []byte("{}"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.db.ExecContext(ctx, "PRAGMA max_page_count = 8"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(ctx, "k", "a", bytes.Repeat([]byte("x"), 1<<20), rev); !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "nothing was changed") {
		t.Fatal(err)
	}
	if doc, err := d.Get(ctx, "k", "a"); err != nil || string(doc.Body) != "{}" {
		t.Fatal(doc, err)
	}
}

func TestLockedDatabase(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	d := openIn(t, dir)
	other, err := sql.Open("sqlite", filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	other.SetMaxOpenConns(1)
	if _, err := other.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(ctx, "k", "a", nil, 0); !errors.Is(err, store.ErrBusy) {
		t.Fatal(err)
	}
	if _, err := other.ExecContext(ctx, "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Put(ctx, "k", "a", []byte("{}"), 0); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedAndLater(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Error(err)
	}
	dir = t.TempDir()
	d := openIn(t, dir)
	if _, err := d.db.ExecContext(t.Context(), "PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	d.Close()
	if _, err := Open(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "later version") {
		t.Error(err)
	}
}

func TestTyped(t *testing.T) {
	ctx, d := t.Context(), openIn(t, t.TempDir())
	c := &spec.Cluster{ID: "c1", Name: "orders"}
	if err := store.Clusters.Put(ctx, d, c); err != nil || c.Revision == 0 {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := store.Clusters.Change(ctx, d, "c1", func(c *spec.Cluster) error { c.Reason += "x"; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := store.Clusters.Get(ctx, d, "c1")
	if err != nil || got.Reason != "xxxxxxxx" {
		t.Fatal(got, err)
	}
	if err := store.Clusters.Put(ctx, d, c); !errors.Is(err, store.ErrConflict) {
		t.Error("an old copy was written:", err)
	}
	if err := store.Clusters.Delete(ctx, d, got); err != nil {
		t.Error(err)
	}
	for _, o := range []spec.Operation{{ID: "op-1", Cluster: "c1"}, {ID: "op-2", Cluster: "c1"}, {ID: "op-0", Cluster: "c10"}} {
		if err := store.Operations.Put(ctx, d, &o); err != nil {
			t.Fatal(err)
		}
	}
	ops, err := store.Operations.List(ctx, d, store.Under("c1", ""), 0, "")
	if err != nil || len(ops) != 2 || ops[0].ID != "op-2" || ops[1].Revision == 0 {
		t.Error(ops, err)
	}
}

const childEnv = "WEIR_STORE_CHILD"

// TestMain is also the child that is killed: it writes without end and says
// which writes were done.
func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	d, err := Open(ctx, dir)
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	docs, err := d.List(ctx, "k", "", 1, "")
	next := 0
	if err == nil && len(docs) > 0 {
		fmt.Sscanf(docs[0].Key, "%d", &next)
	}
	for ; ; next++ {
		key := fmt.Sprintf("%08d", next+1)
		if _, err := d.Put(ctx, "k", key, bytes.Repeat([]byte("x"), next%9000), 0); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(key)
	}
}

func TestKilledInTheMiddle(t *testing.T) {
	dir, acked := t.TempDir(), 0
	for round := range 6 {
		acked = killedWriter(t, dir, 20+7*round, acked)
		d := openIn(t, dir)
		docs, err := d.List(t.Context(), "k", "", 0, "")
		if err != nil || len(docs) < acked || len(docs) > acked+1 {
			t.Fatalf("%d documents, %d acknowledged: %v", len(docs), acked, err)
		}
		for i, doc := range docs {
			if n := len(docs) - i; doc.Key != fmt.Sprintf("%08d", n) || len(doc.Body) != (n-1)%9000 {
				t.Fatalf("document %s has %d bytes", doc.Key, len(doc.Body))
			}
		}
		var ok string
		if err := d.db.QueryRowContext(t.Context(), "PRAGMA integrity_check").Scan(&ok); err != nil || ok != "ok" {
			t.Fatal(ok, err)
		}
		acked = len(docs)
		d.Close()
	}
}

// killedWriter runs the child until it has acknowledged n more writes, kills
// it, and returns the last acknowledged one.
func killedWriter(t *testing.T, dir string, n, acked int) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		if _, err := fmt.Sscanf(lines.Text(), "%d", &acked); err != nil {
			t.Fatal(lines.Text())
		}
		if i == n {
			cmd.Process.Kill()
		}
	}
	cmd.Wait()
	return acked
}
