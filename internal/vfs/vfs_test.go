package vfs

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

func write(t testing.TB, fsys FS, name, data string, sync bool) {
	t.Helper()
	f, err := fsys.Open(name, Create)
	check(t, err)
	_, err = f.WriteAt([]byte(data), 0)
	check(t, err)
	if sync {
		check(t, f.Sync())
	}
	check(t, f.Close())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, fsys FS, name string) string {
	t.Helper()
	p, err := ReadFile(fsys, name, 1<<20)
	if IsNotExist(err) {
		return "(missing)"
	}
	check(t, err)
	return string(p)
}

// outcomes cuts the power many times and counts what a file holds afterwards.
func outcomes(t *testing.T, m *Mem, name string) map[string]int {
	out := map[string]int{}
	for seed := range uint64(300) {
		out[read(t, m.Crash(rand.New(rand.NewPCG(seed, 1))), name)]++
	}
	return out
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	m := NewMem()
	check(t, m.MkdirAll("/d"))
	write(t, m, "/d/f", "synced", true)
	if got := outcomes(t, m, "/d/f"); got["(missing)"] == 0 || got["synced"] == 0 {
		t.Fatal("a file without a synced directory entry may stay or go:", got)
	}
	check(t, m.SyncDir("/d"))
	if got := outcomes(t, m, "/d/f"); got["(missing)"] == 0 {
		t.Fatal("the directory itself has no synced entry:", got)
	}
	check(t, m.SyncDir("/"))
	if got := outcomes(t, m, "/d/f"); got["synced"] != 300 {
		t.Fatal("everything is synced:", got)
	}
	write(t, m, "/d/f", "SYNCED", false)
	if got := outcomes(t, m, "/d/f"); got["synced"] == 0 || got["SYNCED"] == 0 || len(got) != 2 {
		t.Fatal("one sector is old or new:", got)
	}
}

func TestCrashTearsAtSectors(t *testing.T) {
	m := NewMem()
	write(t, m, "/f", "", true)
	check(t, m.SyncDir("/"))
	data := bytes.Repeat([]byte("x"), 4*sectorSize)
	write(t, m, "/f", string(data), false)
	torn, short, whole, empty := 0, 0, 0, 0
	for got, n := range outcomes(t, m, "/f") {
		for s := 0; s < len(got); s += sectorSize {
			sector := got[s:min(s+sectorSize, len(got))]
			if zero := sector[0] == 0; zero != (bytes.Count([]byte(sector), []byte{0}) == len(sector)) {
				t.Fatal("torn within a sector")
			}
		}
		switch {
		case len(got) == 0:
			empty += n
		case len(got) < len(data):
			short += n
		case bytes.IndexByte([]byte(got), 0) >= 0:
			torn += n
		default:
			whole += n
		}
	}
	if torn == 0 || short == 0 || whole == 0 || empty == 0 {
		t.Fatal(torn, short, whole, empty)
	}
}

func TestRenameIsAtomicInACrash(t *testing.T) {
	m := NewMem()
	write(t, m, "/f", "old", true)
	check(t, m.SyncDir("/"))
	check(t, WriteFileAtomic(m, "/f", []byte("new"), false))
	for got := range outcomes(t, m, "/f") {
		// The new name may stand for bytes that were not synced, but some file is there.
		if got == "(missing)" {
			t.Fatalf("%q", got)
		}
	}
	check(t, WriteFileAtomic(m, "/f", []byte("newer"), true))
	if got := outcomes(t, m, "/f"); got["newer"] != 300 {
		t.Fatal(got)
	}
}

func TestRemovedFileStaysReadable(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS(), "mem": NewMem()} {
		dir := t.TempDir()
		check(t, fsys.MkdirAll(dir))
		file := filepath.Join(dir, "f")
		write(t, fsys, file, "abc", false)
		f, err := fsys.Open(file, ReadOnly)
		check(t, err)
		check(t, fsys.Remove(file))
		p := make([]byte, 3)
		if _, err := f.ReadAt(p, 0); err != nil || string(p) != "abc" {
			t.Fatal(name, err)
		}
		check(t, f.Close())
	}
}

func TestLocks(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS(), "mem": NewMem()} {
		dir := t.TempDir()
		check(t, fsys.MkdirAll(dir))
		l, err := fsys.Lock(filepath.Join(dir, ".lock"))
		check(t, err)
		if _, err := fsys.Lock(filepath.Join(dir, ".lock")); !errors.Is(err, ErrLocked) {
			t.Fatal(name, err)
		}
		check(t, l.Close())
		l, err = fsys.Lock(filepath.Join(dir, ".lock"))
		check(t, err)
		check(t, l.Close())
	}
}

func TestFullVolume(t *testing.T) {
	m := NewMem()
	m.SetCapacity(10)
	f, err := m.Open("/f", Create)
	check(t, err)
	n, err := f.WriteAt(make([]byte, 16), 0)
	if n != 10 || !IsNoSpace(err) || !IsTransient(err) {
		t.Fatal(n, err)
	}
	check(t, f.Truncate(2))
	_, err = f.WriteAt(make([]byte, 8), 2)
	check(t, err)
	check(t, m.Remove("/f"))
	if m.Used() != 0 {
		t.Fatal(m.Used())
	}
}

func TestInjectedFaults(t *testing.T) {
	m := NewMem()
	var fail error
	fsys := Inject(m, func(op Op) error {
		if op.Kind == OpWrite {
			return fail
		}
		return nil
	})
	f, err := fsys.Open("/f", Create)
	check(t, err)
	fail = &Short{N: 3, Err: syscall.EIO}
	n, err := f.WriteAt([]byte("abcdef"), 0)
	if n != 3 || !errors.Is(err, syscall.EIO) || read(t, m, "/f") != "abc" {
		t.Fatal(n, err)
	}
}

func TestRangeIsReleasedOnce(t *testing.T) {
	m := NewMem()
	write(t, m, "/f", "0123456789", false)
	f, err := m.Open("/f", ReadOnly)
	check(t, err)
	var released atomic.Int32
	r := NewRange(f, 2, 5, func() { released.Add(1) })
	r.Retain()
	p := make([]byte, 10)
	n, err := r.ReadAt(p, 1)
	if n != 4 || string(p[:n]) != "3456" {
		t.Fatal(n, err, string(p))
	}
	r.Release()
	if released.Load() != 0 {
		t.Fatal("released while held")
	}
	r.Release()
	if released.Load() != 1 {
		t.Fatal("not released")
	}
}

// TestMemIsLikeTheRealThing runs the same random calls on both file systems.
func TestMemIsLikeTheRealThing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir := t.TempDir()
		mem := NewMem()
		check(t, mem.MkdirAll(dir))
		pick := func(names ...string) string { return filepath.Join(dir, rapid.SampledFrom(names).Draw(rt, "name")) }
		both := func(what string, f func(FS) (any, error)) {
			v1, err1 := f(OS())
			v2, err2 := f(mem)
			if (err1 == nil) != (err2 == nil) || IsNotExist(err1) != IsNotExist(err2) {
				rt.Fatal(what, err1, err2)
			}
			if s1, s2 := toString(v1), toString(v2); s1 != s2 {
				rt.Fatalf("%s: %q and %q", what, s1, s2)
			}
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			n := pick("a", "b", "d/a", "d/b", "e/a")
			switch rapid.IntRange(0, 8).Draw(rt, "what") {
			case 0, 1:
				mode := Mode(rapid.IntRange(0, 3).Draw(rt, "mode"))
				data := rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(rt, "data")
				off := rapid.Int64Range(0, 30).Draw(rt, "off")
				both("write "+n, func(fsys FS) (any, error) {
					f, err := fsys.Open(n, mode)
					if err != nil {
						return nil, err
					}
					defer f.Close()
					return f.WriteAt(data, off)
				})
			case 2:
				size := rapid.Int64Range(0, 40).Draw(rt, "size")
				both("truncate "+n, func(fsys FS) (any, error) {
					f, err := fsys.Open(n, ReadWrite)
					if err != nil {
						return nil, err
					}
					defer f.Close()
					return nil, f.Truncate(size)
				})
			case 3:
				n := pick("d", "e")
				both("mkdir "+n, func(fsys FS) (any, error) { return nil, fsys.MkdirAll(n) })
			case 4:
				n := pick("a", "d", "d/a", "e", "e/a")
				both("remove "+n, func(fsys FS) (any, error) { return nil, fsys.Remove(n) })
			case 5:
				n := pick("d", "e", "")
				both("list "+n, func(fsys FS) (any, error) {
					ents, err := fsys.List(n)
					out := ""
					for _, e := range ents {
						out += e.Name + " "
					}
					return out, err
				})
			case 6:
				both("read "+n, func(fsys FS) (any, error) {
					p, err := ReadFile(fsys, n, 1000)
					return string(p), err
				})
			case 7:
				to := filepath.Join(filepath.Dir(n), "to")
				both("rename "+n, func(fsys FS) (any, error) { return nil, fsys.Rename(n, to) })
			case 8:
				both("read at "+n, func(fsys FS) (any, error) {
					f, err := fsys.Open(n, ReadOnly)
					if err != nil {
						return nil, err
					}
					defer f.Close()
					p := make([]byte, 10)
					k, err := f.ReadAt(p, 5)
					if err == io.EOF {
						err = nil
					}
					return string(p[:k]), err
				})
			}
		}
	})
}

func toString(v any) string {
	s, _ := v.(string)
	return s
}

// A read of what the page cache has does not differ from one that waits.
func TestOSReadAt(t *testing.T) {
	f, err := OS().Open(filepath.Join(t.TempDir(), "f"), Create)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := bytes.Repeat([]byte("abcdefg"), 100_000)
	if _, err := f.WriteAt(want, 0); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ off, n int }{{0, 1}, {3, 4096}, {7, cachedMost}, {7, cachedMost + 1}, {0, len(want)}} {
		p := make([]byte, c.n)
		if n, err := f.ReadAt(p, int64(c.off)); n != c.n || err != nil || !bytes.Equal(p, want[c.off:c.off+c.n]) {
			t.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
		}
	}
	p := make([]byte, 10)
	if n, err := f.ReadAt(p, int64(len(want))-4); n != 4 || err != io.EOF {
		t.Errorf("over the end: %d, %v, want 4, EOF", n, err)
	}
	if n, err := f.ReadAt(p, int64(len(want))+4); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v, want 0, EOF", n, err)
	}
}
