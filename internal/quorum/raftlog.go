package quorum

import (
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/vfs"
)

// raftLogSuffix ends the name of Raft's own log: <20 digits: index of the point>.raft.
const raftLogSuffix = ".raft"

// maxRaftLogBytes bounds how large Raft's log may be to be read.
const maxRaftLogBytes = 2 << 30

// The kinds of records in Raft's log, the second byte of a record's key.
const (
	kindPoint     byte = 0 // first record of a file: where the log begins
	kindHardState byte = 1
	kindEntry     byte = 2
)

// point is where Raft's log begins: everything up to and with Index is in the metadata log, durably, which then
// ended at NextOffset.
type point struct {
	Index, Term uint64
	NextOffset  int64
	Conf        *pb.ConfState
}

// raftLog is Raft's own log: one file of groups. A group is what one fdatasync made durable, in the form of one
// record batch (so that one CRC covers it): entries, and the hard state if it changed. The next group is written
// only after the one before is durable; hence only the last group can be torn by a crash, and a bad group that is
// followed by a good one is damage. A group whose first index is not above the last one replaces the tail from
// there. The log is cut by writing a new file that begins with a point, and removing the old.
//
// Owned by the append worker; mem is shared with the Raft loop.
type raftLog struct {
	fs   vfs.FS
	dir  string
	name string
	f    vfs.File
	size int64
	at   point
	hs   *pb.HardState
	mem  *raft.MemoryStorage
	b    record.Builder
	buf  []byte
}

func raftLogName(index uint64) string { return fmt.Sprintf("%020d%s", index, raftLogSuffix) }

// raftLogFiles lists the files of a Raft log, oldest first.
func raftLogFiles(fsys vfs.FS, dir string) ([]string, error) {
	infos, err := fsys.List(dir)
	if err != nil {
		if vfs.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	var names []string
	for _, i := range infos {
		stem, ok := strings.CutSuffix(i.Name, raftLogSuffix)
		if _, err := strconv.ParseUint(stem, 10, 64); ok && err == nil && len(stem) == 20 {
			names = append(names, i.Name)
		}
	}
	sort.Strings(names)
	return names, nil
}

// createRaftLog begins a log at a point.
func createRaftLog(fsys vfs.FS, dir string, at point, hs *pb.HardState, tail []*pb.Entry) (*raftLog, error) {
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, err
	}
	l := &raftLog{fs: fsys, dir: dir, at: at, hs: hs, mem: raft.NewMemoryStorage()}
	l.name = filepath.Join(dir, raftLogName(at.Index))
	tmp := l.name + ".tmp"
	f, err := fsys.Open(tmp, vfs.Fresh)
	if err != nil {
		return nil, err
	}
	l.f = f
	l.begin(at.Index)
	l.add(kindPoint, at.encode())
	l.add(kindHardState, encodeHardState(hs))
	if err := l.finish(); err != nil {
		f.Close()
		return nil, err
	}
	if len(tail) > 0 {
		if err := l.write(tail, nil); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err := fsys.Rename(tmp, l.name); err != nil {
		f.Close()
		return nil, err
	}
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if err := fsys.SyncDir(d); err != nil {
			f.Close()
			return nil, err
		}
	}
	if err := l.initMem(tail); err != nil {
		f.Close()
		return nil, err
	}
	return l, nil
}

func (l *raftLog) initMem(tail []*pb.Entry) error {
	if l.at.Index > 0 { // else it has not begun: see outside.go
		if err := l.mem.ApplySnapshot(l.at.snapshot()); err != nil {
			return err
		}
	}
	if err := l.mem.Append(tail); err != nil {
		return err
	}
	return l.mem.SetHardState(l.hs)
}

// openRaftLog reads the newest file. nil without an error means that there is no log.
func openRaftLog(fsys vfs.FS, dir string) (*raftLog, error) {
	names, err := raftLogFiles(fsys, dir)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	l := &raftLog{fs: fsys, dir: dir, name: filepath.Join(dir, names[len(names)-1]), mem: raft.NewMemoryStorage()}
	b, err := vfs.ReadFile(fsys, l.name, maxRaftLogBytes)
	if err != nil {
		return nil, err
	}
	entries, good, err := l.scan(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", l.name, err)
	}
	if l.f, err = fsys.Open(l.name, vfs.ReadWrite); err != nil {
		return nil, err
	}
	l.size = int64(good)
	if good < len(b) {
		if err := l.f.Truncate(l.size); err != nil {
			return nil, err
		}
	}
	// What a process wrote that was killed before it had synced is here, and goes with the power. This one promises it, and
	// writes behind it.
	if err := l.f.Sync(); err != nil {
		return nil, err
	}
	for _, old := range names[:len(names)-1] { // a cut that was not finished
		if err := fsys.Remove(filepath.Join(dir, old)); err != nil {
			return nil, err
		}
	}
	return l, l.initMem(entries)
}

// scan reads the groups and returns the entries behind the point and how many bytes are good.
func (l *raftLog) scan(b []byte) (entries []*pb.Entry, good int, err error) {
	for good < len(b) {
		group, _, err := record.Next(b[good:])
		if err == nil {
			err = group.VerifyCRC()
		}
		if err != nil {
			if at := findGroup(b[good+1:]); at >= 0 {
				return nil, 0, fmt.Errorf("%w: the group at byte %d does not check (%w) but the one at %d does", ErrDamaged, good, err, good+1+at)
			}
			break
		}
		if entries, err = l.replay(group, entries); err != nil {
			return nil, 0, fmt.Errorf("%w: group at byte %d: %w", ErrDamaged, good, err)
		}
		good += len(group)
	}
	if l.at.Conf == nil || l.hs == nil {
		return nil, 0, fmt.Errorf("%w: it does not begin with a point", ErrDamaged)
	}
	last := l.at.Index + uint64(len(entries))
	if l.hs.GetCommit() > last {
		return nil, 0, fmt.Errorf("%w: index %d was committed but the log ends at %d", ErrDamaged, l.hs.GetCommit(), last)
	}
	return entries, good, nil
}

// findGroup is the position of the next thing that is a group with a good CRC, -1 if there is none.
func findGroup(b []byte) int {
	for i := 0; i+record.HeaderSize <= len(b); i++ {
		if b[i+16] != record.CurrentMagic || binary.BigEndian.Uint16(b[i+21:]) != controlAttribute {
			continue
		}
		if g, _, err := record.Next(b[i:]); err == nil && g.VerifyCRC() == nil {
			return i
		}
	}
	return -1
}

// controlAttribute is the attribute word of every group: a control batch without compression.
const controlAttribute = 0x20

func (l *raftLog) replay(group record.Batch, entries []*pb.Entry) ([]*pb.Entry, error) {
	it := group.Records(0)
	defer it.Close()
	for it.Next() {
		r := it.Record()
		if len(r.Key) != 2 || r.Key[0] != 0 {
			return nil, fmt.Errorf("key %x", r.Key)
		}
		var err error
		switch r.Key[1] {
		case kindPoint:
			l.at, err = decodePoint(r.Value)
		case kindHardState:
			l.hs, err = decodeHardState(r.Value)
		case kindEntry:
			entries, err = l.replayEntry(r.Value, entries)
		default:
			err = fmt.Errorf("kind %d", r.Key[1])
		}
		if err != nil {
			return nil, err
		}
	}
	return entries, it.Close()
}

func (l *raftLog) replayEntry(value []byte, entries []*pb.Entry) ([]*pb.Entry, error) {
	e := new(pb.Entry)
	if err := proto.Unmarshal(value, e); err != nil {
		return nil, err
	}
	if e.GetIndex() <= l.at.Index || e.GetIndex() > l.at.Index+uint64(len(entries))+1 {
		return nil, fmt.Errorf("entry %d behind %d entries from %d", e.GetIndex(), len(entries), l.at.Index)
	}
	return append(entries[:e.GetIndex()-l.at.Index-1], e), nil
}

func (l *raftLog) begin(index uint64) {
	l.b.Reset(record.Compression{}, int64(index))
	l.b.SetLeaderEpoch(int32(l.hs.GetTerm()))
	l.b.SetControl()
}

func (l *raftLog) add(kind byte, value []byte) { l.b.Append(0, []byte{0, kind}, value) }

// finish writes the group and makes it durable.
func (l *raftLog) finish() (err error) {
	if l.buf, err = l.b.AppendTo(l.buf[:0]); err != nil {
		return err
	}
	if _, err = l.f.WriteAt(l.buf, l.size); err != nil {
		return err
	}
	// A disk that is full may say so only now, with the group lost: it is written again in the same place.
	if err = l.f.Sync(); err != nil {
		return err
	}
	l.size += int64(len(l.buf))
	if cap(l.buf) > 1<<20 {
		l.buf = nil
	}
	return nil
}

// write appends one group: entries and, if not nil, a new hard state. When it returns both are durable.
func (l *raftLog) write(entries []*pb.Entry, hs *pb.HardState) error {
	if hs != nil {
		l.hs = hs
	}
	first := l.at.Index + 1
	if len(entries) > 0 {
		first = entries[0].GetIndex()
	}
	l.begin(first)
	for _, e := range entries {
		value, err := proto.Marshal(e)
		if err != nil {
			return err
		}
		l.add(kindEntry, value)
	}
	if hs != nil {
		l.add(kindHardState, encodeHardState(hs))
	}
	if err := l.finish(); err != nil {
		return fmt.Errorf("append to %s: %w", l.name, err)
	}
	return nil
}

// cut begins a new file at a point; the entries behind it are kept.
func (l *raftLog) cut(at point) error {
	last, err := l.mem.LastIndex()
	if err != nil {
		return err
	}
	var tail []*pb.Entry
	if last > at.Index {
		if tail, err = l.mem.Entries(at.Index+1, last+1, ^uint64(0)); err != nil {
			return err
		}
	}
	hs := proto.Clone(l.hs).(*pb.HardState)
	if hs.GetCommit() < at.Index {
		hs.Commit = &at.Index
	}
	next, err := createRaftLog(l.fs, l.dir, at, hs, tail)
	if err != nil {
		_ = l.fs.Remove(filepath.Join(l.dir, raftLogName(at.Index)) + ".tmp") // may not be there; the first error counts
		return err
	}
	old := l.name
	l.f.Close()
	l.f, l.name, l.size, l.at, l.hs = next.f, next.name, next.size, at, hs
	// Who falls behind the point is sent it, as a reference: see point.snapshot.
	if _, err := l.mem.CreateSnapshot(at.Index, at.Conf, at.snapshot().GetData()); err != nil {
		return err
	}
	if err := l.mem.Compact(at.Index); err != nil {
		return err
	}
	if err := l.fs.Remove(old); err != nil {
		return err
	}
	return l.fs.SyncDir(l.dir)
}

// restore begins anew at a point that lies ahead, since the leader does not have the entries before it any more. The
// metadata log reaches that far, durably.
func (l *raftLog) restore(at point, hs *pb.HardState) error {
	if hs == nil {
		hs = l.hs
	}
	// What is known to be committed behind the point comes with the entries, which are not written yet.
	hs = proto.Clone(hs).(*pb.HardState)
	hs.Commit = &at.Index
	next, err := createRaftLog(l.fs, l.dir, at, hs, nil)
	if err != nil {
		_ = l.fs.Remove(filepath.Join(l.dir, raftLogName(at.Index)) + ".tmp") // may not be there; the first error counts
		return err
	}
	old := l.name
	l.f.Close()
	l.f, l.name, l.size, l.at, l.hs = next.f, next.name, next.size, at, hs
	if err := l.mem.ApplySnapshot(at.snapshot()); err != nil {
		return err
	}
	if old != l.name {
		if err := l.fs.Remove(old); err != nil {
			return err
		}
	}
	return l.fs.SyncDir(l.dir)
}

// snapshot is the point in Raft's words: a reference without a state. Its data is the end of the metadata log at the
// point; who needs the state fetches it from there.
func (p point) snapshot() *pb.Snapshot {
	return &pb.Snapshot{Data: binary.BigEndian.AppendUint64(nil, uint64(p.NextOffset)),
		Metadata: &pb.SnapshotMetadata{Index: &p.Index, Term: &p.Term, ConfState: p.Conf}}
}

// pointOf is the point that a snapshot refers to.
func pointOf(s *pb.Snapshot) (point, error) {
	if len(s.GetData()) != 8 {
		return point{}, fmt.Errorf("a reference to a snapshot of %d bytes", len(s.GetData()))
	}
	m := s.GetMetadata()
	return point{Index: m.GetIndex(), Term: m.GetTerm(), NextOffset: int64(binary.BigEndian.Uint64(s.GetData())), Conf: m.GetConfState()}, nil
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }

func (l *raftLog) close() error { return l.f.Close() }

func (p point) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, p.Index)
	b = binary.BigEndian.AppendUint64(b, p.Term)
	b = binary.BigEndian.AppendUint64(b, uint64(p.NextOffset))
	b, err := proto.MarshalOptions{}.MarshalAppend(b, p.Conf)
	if err != nil {
		panic(err) // a message of integers always marshals
	}
	return b
}

func decodePoint(b []byte) (p point, err error) {
	if len(b) < 24 {
		return p, fmt.Errorf("point of %d bytes", len(b))
	}
	p.Index, p.Term = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	p.NextOffset = int64(binary.BigEndian.Uint64(b[16:]))
	p.Conf = new(pb.ConfState)
	return p, proto.Unmarshal(b[24:], p.Conf)
}

func encodeHardState(hs *pb.HardState) []byte {
	b := binary.BigEndian.AppendUint64(nil, hs.GetTerm())
	b = binary.BigEndian.AppendUint64(b, hs.GetVote())
	return binary.BigEndian.AppendUint64(b, hs.GetCommit())
}

func decodeHardState(b []byte) (*pb.HardState, error) {
	if len(b) != 24 {
		return nil, fmt.Errorf("hard state of %d bytes", len(b))
	}
	term, vote, commit := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	return &pb.HardState{Term: &term, Vote: &vote, Commit: &commit}, nil
}
