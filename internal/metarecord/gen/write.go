package main

import (
	"fmt"
	"math"
	"strings"
	"unicode"
)

// writer collects the source text.
type writer struct {
	b       strings.Builder
	structs map[string]string // Go name of a structure → its shape, to write equal ones once
}

func (w *writer) p(format string, args ...any) {
	fmt.Fprintf(&w.b, format, args...)
	w.b.WriteByte('\n')
}

// goName is a field's name in Go: first letter upper, the usual initials.
func goName(s string) string {
	var words []string
	start := 0
	for i := 1; i < len(s); i++ {
		if unicode.IsUpper(rune(s[i])) && !unicode.IsUpper(rune(s[i-1])) {
			words = append(words, s[start:i])
			start = i
		}
	}
	words = append(words, s[start:])
	for i, word := range words {
		switch strings.ToLower(word) {
		case "id":
			words[i] = "ID"
		case "ids":
			words[i] = "IDs"
		case "isr":
			words[i] = "ISR"
		case "elr":
			words[i] = "ELR"
		default:
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// jsonName is a field's name in Kafka's JSON: first letter lower.
func jsonName(s string) string { return strings.ToLower(s[:1]) + s[1:] }

func (w *writer) schema(s *schema) {
	w.nameStructs(s.name, s.fields)
	what := "the message"
	if s.key >= 0 {
		what = fmt.Sprintf("record type %d", s.key)
	}
	w.structType(s.name, s, s.fields, fmt.Sprintf("%s is %s %s, versions %d to %d.", s.name, what, s.name, s.valid.lo, s.valid.hi))
	if s.key >= 0 {
		w.p("// RecordType is the record's type number.\nfunc (*%s) RecordType() int16 { return %d }\n", s.name, s.key)
	}
	w.p("// RecordName is the message's name.\nfunc (*%s) RecordName() string { return %q }\n", s.name, s.name)
	w.p("// MaxVersion is the highest version that this build reads and writes.\nfunc (*%s) MaxVersion() int16 { return %d }\n", s.name, s.valid.hi)
	w.inner(s, s.fields)
}

// nameStructs gives the structures inside a message their Go names.
func (w *writer) nameStructs(owner string, fields []*field) {
	for _, f := range fields {
		if f.isStruct() {
			f.structName = owner + goName(f.typ)
			w.nameStructs(owner, f.fields)
		}
	}
}

func (w *writer) inner(s *schema, fields []*field) {
	for _, f := range fields {
		if !f.isStruct() {
			continue
		}
		shape := fmt.Sprintf("%v", shapeOf(f.fields))
		if have, ok := w.structs[f.structName]; ok {
			if have != shape {
				panic("two shapes of " + f.structName)
			}
			continue
		}
		w.structs[f.structName] = shape
		w.structType(f.structName, s, f.fields, fmt.Sprintf("%s is %s inside a %s.", f.structName, f.typ, s.name))
		w.inner(s, f.fields)
	}
}

func shapeOf(fields []*field) []string {
	var out []string
	for _, f := range fields {
		out = append(out, fmt.Sprint(f.name, f.typ, f.array, f.versions, f.nullable, f.tagged, f.tag, f.def, shapeOf(f.fields)))
	}
	return out
}

// goType is the field's Go type.
func (f *field) goType() string {
	elem := f.elemType()
	if f.array {
		return "[]" + elem
	}
	if f.isStruct() && !f.nullable.none() {
		return "*" + elem
	}
	if f.typ == "string" && !f.nullable.none() {
		return "*string"
	}
	return elem
}

func (f *field) elemType() string {
	switch {
	case f.isStruct():
		return f.structName
	case f.typ == "uuid":
		return "[16]byte"
	case f.typ == "bytes":
		return "[]byte"
	}
	return f.typ
}

func (w *writer) structType(name string, s *schema, fields []*field, doc string) {
	w.p("// %s\ntype %s struct {", doc, name)
	for _, f := range fields {
		note := ""
		if f.versions.lo > 0 || f.versions.hi != math.MaxInt16 && f.versions.hi < s.valid.hi {
			note = " // " + rangeText(f.versions)
		}
		w.p("%s %s%s", goName(f.name), f.goType(), note)
	}
	if !s.flex.none() {
		w.p("// UnknownTags are tagged fields that this build does not know.\nUnknownTags []message.Tag")
	}
	w.p("}\n")
	w.defaults(name, fields)
	w.appendFunc(name, s, fields)
	w.decodeFunc(name, s, fields)
	w.jsonFunc(name, s, fields)
}

func rangeText(v versions) string {
	if v.hi == math.MaxInt16 {
		return fmt.Sprintf("from version %d", v.lo)
	}
	if v.lo == v.hi {
		return fmt.Sprintf("version %d only", v.lo)
	}
	return fmt.Sprintf("versions %d to %d", v.lo, v.hi)
}

// defaultExpr is the field's default where it is not Go's zero value.
func (f *field) defaultExpr() string {
	if f.defaultsToEmptyStruct() {
		return "&" + f.structName + "{}"
	}
	if f.array || f.isStruct() || f.def == "" || f.def == "null" || f.def == "None" || f.def == "false" || f.def == "0" {
		return ""
	}
	if f.typ == "string" {
		return fmt.Sprintf("%q", f.def)
	}
	return f.def
}

func (w *writer) defaults(name string, fields []*field) {
	var any bool
	for _, f := range fields {
		any = any || f.defaultExpr() != ""
	}
	if !any {
		w.p("// SetDefaults makes m the default message.\nfunc (m *%s) SetDefaults() { *m = %s{} }\n", name, name)
	} else {
		w.p("// SetDefaults makes m the default message.\nfunc (m *%s) SetDefaults() {\n*m = %s{", name, name)
		for _, f := range fields {
			if e := f.defaultExpr(); e != "" {
				w.p("%s: %s,", goName(f.name), e)
			}
		}
		w.p("}\n}\n")
	}
	w.p("// New%s returns the default message.\nfunc New%s() *%s {\nm := new(%s)\nm.SetDefaults()\nreturn m\n}\n", name, name, name, name)
}

// defaultsToEmptyStruct tells whether leaving the field out stands for an empty struct, so that null has to be written.
func (f *field) defaultsToEmptyStruct() bool {
	return f.isStruct() && !f.array && !f.nullable.none() && !f.tagged.none() && f.def == "None"
}

// notDefault is the condition under which a tagged field is written.
func (f *field) notDefault() string {
	x := "m." + goName(f.name)
	nullDefault := f.def == "null" || f.def == "None"
	switch {
	case f.defaultsToEmptyStruct():
		differs := []string{x + " == nil"}
		for _, inner := range f.fields {
			differs = append(differs, strings.ReplaceAll(inner.notDefault(), "m.", x+"."))
		}
		return "(" + strings.Join(differs, " || ") + ")"
	case f.array && nullDefault, f.isStruct(), f.typ == "string" && f.goType() == "*string", f.typ == "bytes" && nullDefault:
		return x + " != nil"
	case f.array, f.typ == "bytes":
		return "len(" + x + ") != 0"
	case f.typ == "string":
		return fmt.Sprintf("%s != %q", x, f.def)
	case f.typ == "uuid":
		return x + " != [16]byte{}"
	case f.typ == "bool":
		if f.def == "true" {
			return "!" + x
		}
		return x
	}
	def := f.def
	if def == "" {
		def = "0"
	}
	return x + " != " + def
}

// within is the condition on v for being in a range, given that v is valid for s; "" is always, "false" never.
func within(r versions, valid versions) string {
	switch {
	case r.none() || r.lo > valid.hi || r.hi < valid.lo:
		return "false"
	case r.lo <= valid.lo && r.hi >= valid.hi:
		return ""
	case r.hi >= valid.hi:
		return fmt.Sprintf("v >= %d", r.lo)
	case r.lo <= valid.lo:
		return fmt.Sprintf("v <= %d", r.hi)
	case r.lo == r.hi:
		return fmt.Sprintf("v == %d", r.lo)
	}
	return fmt.Sprintf("v >= %d && v <= %d", r.lo, r.hi)
}

// intersect is the range in both.
func intersect(a, b versions) versions { return versions{max(a.lo, b.lo), min(a.hi, b.hi)} }

// plain is the range in which the field is not tagged.
func (f *field) plain() versions {
	if f.tagged.none() {
		return f.versions
	}
	if f.tagged.lo <= f.versions.lo {
		return versions{1, 0}
	}
	return versions{f.versions.lo, f.tagged.lo - 1}
}

// flexExpr is a Go expression for whether v is a flexible version of s.
func flexExpr(s *schema) string {
	switch within(s.flex, s.valid) {
	case "":
		return "true"
	case "false":
		return "false"
	}
	return "flex"
}

func (w *writer) open(cond string) bool {
	if cond == "" {
		return false
	}
	w.p("if %s {", cond)
	return true
}

func (w *writer) close(opened bool) {
	if opened {
		w.p("}")
	}
}

func (w *writer) flexVar(s *schema) {
	if flexExpr(s) == "flex" {
		w.p("flex := v >= %d", s.flex.lo)
	}
}

func join(conds ...string) string {
	var out []string
	for _, c := range conds {
		if c == "false" {
			return "false"
		}
		if c != "" {
			out = append(out, c)
		}
	}
	return strings.Join(out, " && ")
}
