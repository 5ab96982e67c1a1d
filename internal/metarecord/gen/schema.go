package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
)

// versions is an inclusive range; lo > hi means none.
type versions struct{ lo, hi int }

func (v versions) none() bool { return v.lo > v.hi }

// field is one field of a message or of a structure inside it.
type field struct {
	name       string // Kafka's
	typ        string // element type of arrays
	array      bool
	versions   versions
	nullable   versions
	tagged     versions
	tag        int
	def        string
	ignorable  bool
	fields     []*field // of structures
	structName string   // Go name of the structure, once known
}

// schema is one message.
type schema struct {
	key    int // record type; -1 if it has none
	module string
	kind   string
	name   string
	valid  versions
	flex   versions
	fields []*field
}

func parseVersions(s string) (versions, error) {
	if s == "" || s == "none" {
		return versions{1, 0}, nil
	}
	if lo, ok := strings.CutSuffix(s, "+"); ok {
		n, err := strconv.Atoi(lo)
		return versions{n, math.MaxInt16}, err
	}
	lo, hi, ok := strings.Cut(s, "-")
	if !ok {
		hi = lo
	}
	a, err := strconv.Atoi(lo)
	if err != nil {
		return versions{}, err
	}
	b, err := strconv.Atoi(hi)
	return versions{a, b}, err
}

// load reads one table. Rows of a message follow each other; a structure's fields follow the field that has it.
func load(path string) ([]*schema, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []*schema
	var cur *schema
	sc := bufio.NewScanner(f)
	for line := 1; sc.Scan(); line++ {
		cells := strings.Split(sc.Text(), "\t")
		for len(cells) < 19 {
			cells = append(cells, "")
		}
		if line == 1 {
			continue
		}
		if cur == nil || cur.name != cells[3] {
			if cur, err = newSchema(cells); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", path, line, err)
			}
			out = append(out, cur)
		}
		if err := cur.addField(cells); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
	}
	return out, sc.Err()
}

func newSchema(cells []string) (s *schema, err error) {
	s = &schema{key: -1, module: cells[0], kind: cells[2], name: cells[3]}
	if cells[1] != "" {
		if s.key, err = strconv.Atoi(cells[1]); err != nil {
			return nil, err
		}
	}
	if s.valid, err = parseVersions(cells[4]); err != nil {
		return nil, err
	}
	s.flex, err = parseVersions(cells[5])
	return s, err
}

func (s *schema) addField(cells []string) (err error) {
	path := cells[8]
	if path == "(no fields)" {
		return nil
	}
	f := &field{tag: -1, def: cells[14], ignorable: cells[15] == "true"}
	f.typ, f.array = strings.CutPrefix(cells[9], "[]")
	if f.versions, err = parseVersions(cells[10]); err != nil {
		return err
	}
	if f.nullable, err = parseVersions(cells[11]); err != nil {
		return err
	}
	if f.tagged, err = parseVersions(cells[12]); err != nil {
		return err
	}
	if cells[13] != "" {
		if f.tag, err = strconv.Atoi(cells[13]); err != nil {
			return err
		}
	}
	if f.versions.none() {
		f.versions = f.tagged
	}
	into := &s.fields
	parts := strings.Split(path, ".")
	for _, p := range parts[:len(parts)-1] {
		p = strings.TrimSuffix(p, "[]")
		parent := find(*into, p)
		if parent == nil {
			return fmt.Errorf("%s: no field %s before it", path, p)
		}
		into = &parent.fields
	}
	f.name = parts[len(parts)-1]
	*into = append(*into, f)
	return nil
}

func find(fields []*field, name string) *field {
	for _, f := range fields {
		if f.name == name {
			return f
		}
	}
	return nil
}

// isStruct reports whether the field's (element) type is a structure.
func (f *field) isStruct() bool { return len(f.fields) > 0 }

// minSize is the least number of bytes that one value (one element, for arrays) takes in any version.
func (f *field) minSize() int {
	if f.isStruct() {
		n := 0
		for _, c := range f.fields {
			if c.tagged.none() && c.versions.lo == 0 {
				if c.array {
					n++
				} else {
					n += c.minSize()
				}
			}
		}
		return n
	}
	switch f.typ {
	case "int16", "uint16":
		return 2
	case "int32":
		return 4
	case "int64", "float64":
		return 8
	case "uuid":
		return 16
	}
	return 1
}
