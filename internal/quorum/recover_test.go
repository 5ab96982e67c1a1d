package quorum

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// TestOlderLogUnderNewerSnapshot: the process ends after a snapshot of the leader has its name and before the log that it replaces is
// removed. What that log says of voters and version is older than the snapshot.
func TestOlderLogUnderNewerSnapshot(t *testing.T) {
	fs := newFS(t)
	dir := filepath.Join("/data", LogDirName)
	if err := fs.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	voters := func(ids ...int32) *mr.VotersRecord {
		r := mr.NewVotersRecord()
		for _, id := range ids {
			r = withVoter(r, Voter{ID: id, DirectoryID: [16]byte{byte(id)}})
		}
		return r
	}
	var b record.Builder
	b.Reset(record.Compression{}, 0)
	b.SetLeaderEpoch(1)
	b.AppendControl(1, record.ControlKRaftVersion, (&mr.KRaftVersionRecord{}).Append(nil, 0))
	b.AppendControl(1, record.ControlKRaftVoters, voters(1, 2, 3).Append(nil, 0))
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	head := SnapshotHead{Epoch: 5, KRaftVersion: 1, Voters: voters(4, 5, 6)}
	err = errors.Join(vfs.WriteFileAtomic(fs, filepath.Join(dir, metaSegmentName(0)), batch, true),
		WriteSnapshot(fs, filepath.Join(dir, SnapshotID{EndOffset: 500, Epoch: 5}.FileName()), head, func(func(mr.Versioned) bool) {}))
	if err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(fs, newRecorder())
	cfg.Observer = true
	q, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got := q.voters.Load().keys(); !strings.HasPrefix(got, "[ReplicaKey(id=4, ") || q.kraft.Load() != 1 {
		t.Errorf("version %d, voters %s", q.kraft.Load(), got)
	}
	if err := q.Close(); err != nil {
		t.Error(err)
	}
}

// TestPowerCutAfterNewPoint: Raft's log begins anew at a point, and the power is cut before the entries that came with it are written, though
// they were known to be committed.
func TestPowerCutAfterNewPoint(t *testing.T) {
	fs := newFS(t)
	term, vote, commit, none := uint64(3), uint64(0), uint64(12), uint64(1)
	conf := &pb.ConfState{Voters: []uint64{7, 8}}
	l, err := createRaftLog(fs, "/data/raft", point{Index: 1, Term: 1, Conf: conf}, &pb.HardState{Term: &term, Vote: &vote, Commit: &none}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.restore(point{Index: 10, Term: 3, NextOffset: 40, Conf: conf}, &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}); err != nil {
		t.Fatal(err)
	}
	if l, err = openRaftLog(fs.Crash(rand.New(rand.NewPCG(1, 1))), "/data/raft"); err != nil {
		t.Fatal(err)
	}
	if got := l.hs.GetCommit(); got != 10 || l.hs.GetTerm() != term {
		t.Errorf("index %d is committed in term %d", got, l.hs.GetTerm())
	}
}

// fullOnce is a disk that is found to be full when it is to sync, once, and loses what it was to sync.
type fullOnce struct {
	vfs.FS
	armed *bool
}

func (d fullOnce) Open(name string, mode vfs.Mode) (vfs.File, error) {
	f, err := d.FS.Open(name, mode)
	return &fullFile{File: f, armed: d.armed}, err
}

type fullFile struct {
	vfs.File
	armed     *bool
	at        int64
	unwritten []byte
}

func (f *fullFile) WriteAt(p []byte, at int64) (int, error) {
	f.at, f.unwritten = at, make([]byte, len(p))
	return f.File.WriteAt(p, at)
}

func (f *fullFile) Sync() error {
	if *f.armed && f.unwritten != nil {
		*f.armed = false
		_, err := f.File.WriteAt(f.unwritten, f.at)
		return errors.Join(err, syscall.ENOSPC)
	}
	f.unwritten = nil
	return f.File.Sync()
}

// TestFullDiskIsNoticedBySync: a disk that is full may say so when it is to sync, and what it was to write may be lost. The next attempt writes
// it again in the same place; behind it, it would stand behind damage.
func TestFullDiskIsNoticedBySync(t *testing.T) {
	mem, armed := newFS(t), false
	fs := fullOnce{mem, &armed}
	term, vote, commit := uint64(1), uint64(0), uint64(1)
	l, err := createRaftLog(fs, "/data/raft", point{Index: 1, Term: 1, Conf: &pb.ConfState{Voters: []uint64{7}}}, &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, nil)
	if err != nil {
		t.Fatal(err)
	}
	armed = true
	index := uint64(2)
	entries := []*pb.Entry{{Index: &index, Term: &term, Data: []byte("entry")}}
	if err := l.write(entries, nil); !vfs.IsNoSpace(err) {
		t.Fatal(err)
	}
	if err := l.write(entries, nil); err != nil {
		t.Fatal(err)
	}
	if l, err = openRaftLog(mem.Crash(rand.New(rand.NewPCG(1, 1))), "/data/raft"); err != nil {
		t.Fatal(err)
	}
	if last, err := l.mem.LastIndex(); err != nil || last != 2 {
		t.Errorf("the log ends at %d: %v", last, err)
	}
}

// TestFailedSyncOfTheMetadataLogIsForGood: a segment whose sync has failed may have a hole, and is not gone on from.
func TestFailedSyncOfTheMetadataLogIsForGood(t *testing.T) {
	armed := false
	cfg := testConfig(fullOnce{newFS(t), &armed}, nil)
	cfg.Now, cfg.SegmentBytes = time.Now, 1
	l, err := openMetaLog(&cfg, SnapshotID{}, 0, func(record.Batch) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	var b record.Builder
	for offset := range int64(2) {
		b.Reset(record.Compression{}, offset)
		b.AppendControl(1, record.ControlKRaftVersion, (&mr.KRaftVersionRecord{}).Append(nil, 0))
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		armed = offset > 0
		if err := l.append(batch); (err != nil) != (offset > 0) || vfs.IsNoSpace(err) {
			t.Errorf("batch %d: %v", offset, err)
		}
	}
}
