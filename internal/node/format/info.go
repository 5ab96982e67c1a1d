package format

import (
	"fmt"
	"io"

	"github.com/weir-stream/weir/internal/config"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/vfs"
)

// Info prints what `kafka-storage info` shows and reports whether there was no problem.
func Info(fsys vfs.FS, n *config.Node, out io.Writer) (ok bool, err error) {
	s, inspectErr := Inspect(fsys, n)
	if s == nil {
		return false, inspectErr
	}
	var found, problems []string
	var meta *Directory
	for i := range s.Directories {
		d := &s.Directories[i]
		switch {
		case d.Damage != nil:
			problems = append(problems, d.Damage.Error())
		case !d.Exists:
			problems = append(problems, d.Path+" does not exist")
		case !d.Formatted:
			found = append(found, d.Path)
			problems = append(problems, d.Path+" is not formatted.")
		default:
			found = append(found, d.Path)
			if meta == nil {
				meta = d
			}
		}
	}
	if inspectErr != nil {
		problems = append(problems, inspectErr.Error())
	}
	w := &printer{out: out}
	w.section("Found log director", found)
	if meta != nil {
		w.print("Found metadata: {cluster.id=%s, directory.id=%s, node.id=%d, version=%d}\n\n",
			meta.Meta.ClusterID, mr.FormatUUID(meta.Meta.DirectoryID), meta.Meta.NodeID, meta.Meta.Version)
	}
	w.section("Found problem", problems)
	return len(problems) == 0, w.err
}

// printer keeps the first error of writing.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) print(text string, args ...any) {
	if _, err := fmt.Fprintf(p.out, text, args...); err != nil && p.err == nil {
		p.err = err
	}
}

// section prints a heading, in the singular or the plural, and its lines.
func (p *printer) section(heading string, lines []string) {
	if len(lines) == 0 {
		return
	}
	switch {
	case heading == "Found log director" && len(lines) == 1:
		heading += "y"
	case heading == "Found log director":
		heading += "ies"
	case len(lines) > 1:
		heading += "s"
	}
	p.print("%s:\n", heading)
	for _, l := range lines {
		p.print("  %s\n", l)
	}
	p.print("\n")
}
