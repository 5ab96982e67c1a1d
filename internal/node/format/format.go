package format

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// bootstrapName is the snapshot that a new metadata log begins with, as Apache Kafka 4.4 writes it.
var bootstrapName = quorum.SnapshotID{}.FileName()

// oldBootstrapName is what it is called before, with a static quorum.
const oldBootstrapName = "bootstrap.checkpoint"

// Request is what `kafka-storage format` was asked for.
type Request struct {
	Node      *config.Node
	ClusterID string
	// Release names a metadata.version, e.g. 4.3-IV0; empty for the default.
	Release  string
	Features map[string]int16
	// IgnoreFormatted passes over directories that are formatted.
	IgnoreFormatted bool
	// Standalone makes this node the only voter; InitialControllers names the voters; NoInitialControllers leaves
	// them to join later. At most one of the three, and none with controller.quorum.voters.
	Standalone           bool
	InitialControllers   []Voter
	NoInitialControllers bool
	Scram                []mr.Versioned // from ParseScram

	Out io.Writer
	Now time.Time
}

// Voter is one of --initial-controllers.
type Voter struct {
	ID          int32
	Host        string
	Port        int
	DirectoryID [16]byte
}

// Format makes the log directories of a node usable. It writes nothing before it has checked everything, and
// meta.properties last, so that an interrupted run leaves directories that count as unformatted. The texts of its
// errors are those of Apache Kafka's tool.
func Format(fsys vfs.FS, r Request) error {
	if err := r.checkMode(); err != nil {
		return err
	}
	found, err := Inspect(fsys, r.Node)
	if err != nil {
		return err
	}
	levels, err := r.levels()
	if err != nil {
		return err
	}
	todo, err := r.unformatted(found)
	if err != nil || len(todo) == 0 {
		return err
	}
	ids, err := r.directoryIDs(todo)
	if err != nil {
		return err
	}
	records := append(featureRecords(levels), r.Scram...)
	r.say("Bootstrap metadata: %s", describeBootstrap(records, levels[image.FeatureMetadata]))
	for _, dir := range todo {
		kind := r.kind(dir.Path)
		r.say("Formatting %s %s with metadata.version %s.", kind, dir.Path, image.MetadataVersion(levels[image.FeatureMetadata]))
		if err := vfs.MakeDir(fsys, dir.Path); err != nil {
			return fmt.Errorf("make log directory %s: %w", dir.Path, err)
		}
		if dir.Path == r.Node.MetadataDir && r.Node.Controller {
			if err := r.writeBootstrap(fsys, ids, levels, records); err != nil {
				return err
			}
		}
		m := log.MetaProperties{Version: 1, ClusterID: r.ClusterID, NodeID: r.Node.ID, DirectoryID: ids[dir.Path]}
		if err := log.WriteMetaProperties(fsys, dir.Path, m, r.Now); err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) say(text string, args ...any) {
	fmt.Fprintf(r.Out, text+"\n", args...) // a report that cannot be read by anybody stops nothing
}

func (r *Request) dynamic() bool {
	return r.Standalone || r.NoInitialControllers || len(r.InitialControllers) > 0
}

func (r *Request) checkMode() error {
	switch {
	case len(r.Node.Voters) > 0 && (r.Standalone || len(r.InitialControllers) > 0):
		return errors.New("You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. " +
			"If you want to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead.")
	case r.Node.Controller && len(r.Node.Voters) == 0 && !r.dynamic() && !r.Node.Legacy:
		return errors.New("Because controller.quorum.voters is not set on this controller, you must specify one of the following: " +
			"--standalone, --initial-controllers, or --no-initial-controllers.")
	case r.Standalone && !r.Node.Controller:
		return errors.New("You can only use --standalone on a controller.")
	case strings.TrimSpace(r.ClusterID) == "":
		return errors.New("You must specify a cluster id.")
	}
	return nil
}

// unformatted returns the directories that are to be formatted.
func (r *Request) unformatted(found *State) ([]Directory, error) {
	if found.Formatted() && found.ClusterID != r.ClusterID {
		first := found.Directories[slices.IndexFunc(found.Directories, func(d Directory) bool { return d.Formatted })]
		return nil, fmt.Errorf("Invalid cluster.id in: %s. Expected %s, but read %s", filepath.Join(first.Path, log.MetaPropertiesFile), r.ClusterID, found.ClusterID)
	}
	var todo []Directory
	for _, d := range found.Directories {
		switch {
		case d.Damage != nil:
			return nil, fmt.Errorf("I/O error trying to read log directory %s: %w", d.Path, d.Damage)
		case d.Formatted && !r.IgnoreFormatted:
			return nil, fmt.Errorf("Log directory %s is already formatted. Use --ignore-formatted to ignore this directory and format the others.", d.Path)
		case !d.Formatted && d.Partitions > 0:
			return nil, unreadable(d)
		case !d.Formatted:
			todo = append(todo, d)
		}
	}
	if len(todo) == 0 {
		r.say("All of the log directories are already formatted.")
	}
	return todo, nil
}

// unreadable refuses a directory with partitions that nothing describes.
func unreadable(d Directory) error {
	return refuse("%s holds %d partitions but no readable metadata, and formatting would hide them: use `weir kafka-storage adopt -c FILE` to rebuild the topics from what lies there, or empty the directory", d.Path, d.Partitions)
}

func (r *Request) levels() (map[string]int16, error) {
	given := map[string]int16{}
	for name, level := range r.Features {
		given[name] = level
	}
	levels, err := chosenLevels(r.Release, given)
	if err != nil {
		return nil, err
	}
	if level, asked := r.Features[image.FeatureKRaft]; asked {
		switch {
		case level == 0 && r.dynamic():
			return nil, fmt.Errorf("Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing the --feature flag for kraft.version.")
		case level > 0 && !r.dynamic():
			return nil, fmt.Errorf("Cannot set kraft.version to %d unless controller.quorum.voters is empty and one of the flags --standalone, --initial-controllers, or --no-initial-controllers is used. "+
				"For dynamic controllers support, try using one of --standalone, --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters.", level)
		}
	}
	levels[image.FeatureKRaft] = 0
	if r.dynamic() {
		levels[image.FeatureKRaft] = 1
	}
	if len(r.Scram) > 0 && !image.MetadataVersion(levels[image.FeatureMetadata]).Scram() {
		return nil, fmt.Errorf("SCRAM is only supported in metadata.version 3.5-IV2 or later.")
	}
	return levels, nil
}

// directoryIDs draws the ids of the new directories; the metadata directory gets the one that --initial-controllers
// gives to this node.
func (r *Request) directoryIDs(dirs []Directory) (map[string][16]byte, error) {
	ids := map[string][16]byte{}
	for _, d := range dirs {
		id, err := RandomUUID()
		if err != nil {
			return nil, err
		}
		ids[d.Path] = id
	}
	if len(r.InitialControllers) == 0 || !r.Node.Controller {
		return ids, nil
	}
	if i := r.initialVoter(); i >= 0 {
		ids[r.Node.MetadataDir] = r.InitialControllers[i].DirectoryID
	}
	return ids, nil
}

// initialVoter is this controller's place among --initial-controllers, -1: it has none, and joins later.
func (r *Request) initialVoter() int {
	if !r.Node.Controller {
		return -1
	}
	return slices.IndexFunc(r.InitialControllers, func(v Voter) bool { return v.ID == r.Node.ID })
}

// kind is what Kafka calls the directory.
func (r *Request) kind(path string) string {
	switch {
	case path != r.Node.MetadataDir:
		return "data directory"
	case r.Standalone, r.initialVoter() >= 0:
		return "dynamic metadata voter directory"
	case len(r.InitialControllers) > 0:
		return "dynamic metadata directory"
	default:
		return "metadata directory"
	}
}

// writeBootstrap writes the snapshot that the metadata log begins with.
func (r *Request) writeBootstrap(fsys vfs.FS, ids map[string][16]byte, levels map[string]int16, records []mr.Versioned) error {
	folder := filepath.Join(r.Node.MetadataDir, quorum.LogDirName)
	if err := fsys.MkdirAll(folder); err != nil {
		return fmt.Errorf("make %s: %w", folder, err)
	}
	head := quorum.SnapshotHead{Now: r.Now.UnixMilli(), KRaftVersion: levels[image.FeatureKRaft]}
	if r.Standalone || r.initialVoter() >= 0 {
		head.Voters = r.voters(ids[r.Node.MetadataDir])
	}
	if err := quorum.WriteSnapshot(fsys, filepath.Join(folder, bootstrapName), head, slices.Values(records)); err != nil || r.dynamic() {
		return err
	}
	// Where the voters are a list in the settings, Apache Kafka before 4.4 looks for the same under this name, and would
	// begin without features and users.
	return quorum.WriteSnapshot(fsys, filepath.Join(r.Node.MetadataDir, oldBootstrapName), head, slices.Values(records))
}

// voters are the first voters of a dynamic quorum.
func (r *Request) voters(own [16]byte) *mr.VotersRecord {
	voters := r.InitialControllers
	name := "CONTROLLER"
	if names := r.Node.ControllerListenerNames; len(names) > 0 {
		name = names[0]
	}
	if r.Standalone {
		v := Voter{ID: r.Node.ID, DirectoryID: own}
		for _, l := range r.Node.AdvertisedController {
			if l.Name == name {
				v.Host, v.Port = l.Host, l.Port
			}
		}
		voters = []Voter{v}
	}
	out := mr.NewVotersRecord()
	for _, v := range voters {
		rv := mr.NewVotersRecordVoter()
		rv.VoterID, rv.VoterDirectoryID = v.ID, v.DirectoryID
		rv.KRaftVersionFeature.MaxSupportedVersion = 1
		rv.Endpoints = []mr.VotersRecordEndpoint{{Name: name, Host: v.Host, Port: uint16(v.Port)}}
		out.Voters = append(out.Voters, *rv)
	}
	return out
}

// RandomUUID draws an id as Kafka does: none that is reserved, none whose text begins with a dash.
func RandomUUID() (id [16]byte, err error) {
	for {
		if _, err := rand.Read(id[:]); err != nil {
			return id, fmt.Errorf("draw an id: %w", err)
		}
		reserved := true
		for _, b := range id[:15] {
			reserved = reserved && b == 0
		}
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		if !reserved && mr.FormatUUID(id)[0] != '-' {
			return id, nil
		}
	}
}

// describeBootstrap is how Kafka's tool prints the first records.
func describeBootstrap(records []mr.Versioned, metadataVersion int16) string {
	var parts []string
	for _, v := range records {
		parts = append(parts, fmt.Sprintf("ApiMessageAndVersion(%s at version %d)", describeRecord(v.Record), v.Version))
	}
	return fmt.Sprintf("BootstrapMetadata(records=[%s], metadataVersionLevel=%d, source=format command)", strings.Join(parts, ", "), metadataVersion)
}

func describeRecord(r mr.Record) string {
	switch r := r.(type) {
	case *mr.FeatureLevelRecord:
		return fmt.Sprintf("FeatureLevelRecord(name='%s', featureLevel=%d)", r.Name, r.FeatureLevel)
	case *mr.UserScramCredentialRecord:
		return fmt.Sprintf("UserScramCredentialRecord(name='%s', mechanism=%d, salt=(redacted), storedKey=(redacted), serverKey=(redacted), iterations=%d)", r.Name, r.Mechanism, r.Iterations)
	default:
		return r.RecordName()
	}
}
