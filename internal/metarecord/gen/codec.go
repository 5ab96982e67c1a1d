package main

import (
	"math"
	"strings"
)

var primitive = map[string]string{"bool": "Bool", "int8": "Int8", "int16": "Int16", "uint16": "Uint16", "int32": "Int32", "int64": "Int64", "float64": "Float64", "uuid": "UUID"}

func (w *writer) appendFunc(name string, s *schema, fields []*field) {
	w.p("// Append appends the message as version v writes it. What v has no room for is left out.\nfunc (m *%s) Append(dst []byte, v int16) []byte {", name)
	w.flexVar(s)
	for _, f := range fields {
		cond := within(f.plain(), s.valid)
		if cond == "false" {
			continue
		}
		opened := w.open(cond)
		w.appendField(s, f, "dst", f.plain())
		w.close(opened)
	}
	if fx := flexExpr(s); fx != "false" {
		opened := w.open(strings.TrimPrefix(fx, "true"))
		w.appendTags(s, fields)
		w.close(opened)
	}
	w.p("return dst\n}\n")
}

func (w *writer) appendTags(s *schema, fields []*field) {
	tagged := byTag(fields)
	if len(tagged) == 0 {
		w.p("dst = message.AppendUvarint(dst, uint32(len(m.UnknownTags)))\ndst = message.AppendTags(dst, m.UnknownTags)")
		return
	}
	w.p("tags := uint32(len(m.UnknownTags))")
	for _, f := range tagged {
		w.p("if %s {\ntags++\n}", join(within(intersect(f.tagged, s.flex), s.valid), f.notDefault()))
	}
	w.p("dst = message.AppendUvarint(dst, tags)")
	for _, f := range tagged {
		w.p("if %s {\nvar body []byte", join(within(intersect(f.tagged, s.flex), s.valid), f.notDefault()))
		w.appendField(s, f, "body", f.tagged)
		w.p("dst = message.AppendTag(dst, %d, body)\n}", f.tag)
	}
	w.p("dst = message.AppendTags(dst, m.UnknownTags)")
}

// byTag are the tagged fields in the order of their numbers.
func byTag(fields []*field) []*field {
	var out []*field
	for n := 0; n < 64; n++ {
		for _, f := range fields {
			if !f.tagged.none() && f.tag == n {
				out = append(out, f)
			}
		}
	}
	return out
}

// nullableIn reports how nullability is decided in the range where the field is written: always, never, or by v.
func (f *field) nullableIn(s *schema, in versions) string {
	valid := intersect(in, s.valid)
	return within(f.nullable, valid)
}

func (w *writer) appendField(s *schema, f *field, dst string, in versions) {
	x, fx := "m."+goName(f.name), flexExpr(s)
	nullable := f.nullableIn(s, in)
	switch {
	case f.array:
		if nullable != "false" {
			w.p("if %s {\n%s = message.AppendNullArray(%s, %s)\n} else {", join(x+" == nil", nullable), dst, dst, fx)
		}
		w.p("%s = message.AppendArrayLen(%s, len(%s), %s)\nfor i := range %s {", dst, dst, x, fx, x)
		w.appendElement(f, x+"[i]", dst, fx)
		w.p("}")
		w.close(nullable != "false")
	case f.isStruct() && !f.nullable.none() && !f.tagged.none():
		// What leads a nullable struct is a varint in a tag and a signed byte elsewhere.
		w.p("if %s == nil {\n%s = message.AppendUvarint(%s, 0)\n} else {\n%s = message.AppendUvarint(%s, 1)\n%s = %s.Append(%s, v)\n}", x, dst, dst, dst, dst, dst, x, dst)
	case f.isStruct() && !f.nullable.none():
		w.p("if %s == nil {\n%s = message.AppendInt8(%s, -1)\n} else {\n%s = message.AppendInt8(%s, 1)\n%s = %s.Append(%s, v)\n}", x, dst, dst, dst, dst, dst, x, dst)
	case f.goType() == "*string":
		if nullable != "" {
			panic(f.name + ": string nullable in some versions only")
		}
		w.p("%s = message.AppendNullableString(%s, %s, %s)", dst, dst, x, fx)
	case f.typ == "bytes" && !f.nullable.none():
		w.p("%s = message.AppendNullableBytes(%s, %s, %s)", dst, dst, x, fx)
	default:
		w.appendElement(f, x, dst, fx)
	}
}

func (w *writer) appendElement(f *field, x, dst, fx string) {
	switch {
	case f.isStruct():
		w.p("%s = %s.Append(%s, v)", dst, x, dst)
	case f.typ == "string":
		w.p("%s = message.AppendString(%s, %s, %s)", dst, dst, x, fx)
	case f.typ == "bytes":
		w.p("%s = message.AppendBytes(%s, %s, %s)", dst, dst, x, fx)
	default:
		w.p("%s = message.Append%s(%s, %s)", dst, primitive[f.typ], dst, x)
	}
}

func (w *writer) decodeFunc(name string, s *schema, fields []*field) {
	w.p("// Decode reads the message from the front of r as version v writes it; r has the error.\nfunc (m *%s) Decode(r *message.Reader, v int16) {\nm.SetDefaults()", name)
	w.flexVar(s)
	for _, f := range fields {
		cond := within(f.plain(), s.valid)
		if cond == "false" {
			continue
		}
		opened := w.open(cond)
		w.decodeField(s, f, "r", f.plain())
		w.close(opened)
	}
	if fx := flexExpr(s); fx != "false" {
		opened := w.open(strings.TrimPrefix(fx, "true"))
		w.decodeTags(s, fields)
		w.close(opened)
	}
	w.p("}\n")
}

func (w *writer) decodeTags(s *schema, fields []*field) {
	tagged := byTag(fields)
	if len(tagged) == 0 {
		w.p("m.UnknownTags = r.Tags(nil)")
		return
	}
	w.p("m.UnknownTags = r.Tags(func(number uint32, r *message.Reader) bool {\nswitch number {")
	for _, f := range tagged {
		w.p("case %d:", f.tag)
		if cond := within(intersect(f.tagged, s.flex), versions{max(s.valid.lo, s.flex.lo), s.valid.hi}); cond != "" {
			w.p("if !(%s) {\nreturn false\n}", cond)
		}
		w.decodeField(s, f, "r", f.tagged)
	}
	w.p("default:\nreturn false\n}\nreturn true\n})")
}

func (w *writer) decodeField(s *schema, f *field, r string, in versions) {
	x, fx := "m."+goName(f.name), flexExpr(s)
	nullable := f.nullableIn(s, in)
	switch {
	case f.array:
		read := "RequiredArrayLen"
		if nullable != "false" {
			read = "ArrayLen"
		}
		w.p("if n := %s.%s(%s, %d); n >= 0 {\n%s = make(%s, 0, min(n, 1024))\nfor ; n > 0 && %s.Err() == nil; n-- {", r, read, fx, f.minSize(), x, f.goType(), r)
		if f.isStruct() {
			w.p("var e %s\ne.Decode(%s, v)\n%s = append(%s, e)", f.structName, r, x, x)
		} else {
			w.p("%s = append(%s, %s)", x, x, readElement(f, r, fx))
		}
		w.p("}\n}")
	case f.isStruct() && !f.nullable.none() && !f.tagged.none():
		w.p("%s = nil\nif %s.Uvarint() > 0 {\n%s = new(%s)\n%s.Decode(%s, v)\n}", x, r, x, f.structName, x, r)
	case f.isStruct() && !f.nullable.none():
		w.p("if %s.Int8() >= 0 {\n%s = new(%s)\n%s.Decode(%s, v)\n}", r, x, f.structName, x, r)
	case f.isStruct():
		w.p("%s.Decode(%s, v)", x, r)
	case f.goType() == "*string":
		w.p("%s = %s.NullableString(%s)", x, r, fx)
	case f.typ == "bytes" && !f.nullable.none():
		w.p("%s = %s.NullableBytes(%s)", x, r, fx)
	default:
		w.p("%s = %s", x, readElement(f, r, fx))
	}
}

func readElement(f *field, r, fx string) string {
	switch f.typ {
	case "string":
		return r + ".String(" + fx + ")"
	case "bytes":
		return r + ".Bytes(" + fx + ")"
	}
	return r + "." + primitive[f.typ] + "()"
}

func (w *writer) jsonFunc(name string, s *schema, fields []*field) {
	w.p("// AppendJSON appends the message as Kafka's tools print version v.\nfunc (m *%s) AppendJSON(dst []byte, v int16) []byte {\ndst = append(dst, '{')", name)
	for _, f := range fields {
		if cond := within(f.plain(), s.valid); cond != "false" {
			opened := w.open(cond)
			w.jsonField(f)
			w.close(opened)
		}
		if !f.tagged.none() {
			if cond := join(within(versions{f.tagged.lo, math.MaxInt16}, s.valid), f.notDefault()); cond != "false" {
				w.p("if %s {", cond)
				w.jsonField(f)
				w.p("}")
			}
		}
	}
	w.p("return append(dst, '}')\n}\n")
}

func (w *writer) jsonField(f *field) {
	x := "m." + goName(f.name)
	w.p("dst = message.AppendJSONName(dst, %q)", jsonName(f.name))
	switch {
	case f.array:
		if !f.nullable.none() {
			w.p("if %s == nil {\ndst = append(dst, \"null\"...)\n} else {", x)
		}
		w.p("dst = append(dst, '[')\nfor i := range %s {\ndst = message.AppendJSONComma(dst)\n%s\n}\ndst = append(dst, ']')", x, jsonElement(f, x+"[i]"))
		w.close(!f.nullable.none())
	case f.isStruct() && !f.nullable.none():
		w.p("if %s == nil {\ndst = append(dst, \"null\"...)\n} else {\n%s\n}", x, jsonElement(f, x))
	case f.goType() == "*string":
		w.p("dst = message.AppendJSONNullableString(dst, %s)", x)
	default:
		w.p("%s", jsonElement(f, x))
	}
}

func jsonElement(f *field, x string) string {
	switch {
	case f.isStruct():
		return "dst = " + x + ".AppendJSON(dst, v)"
	case f.typ == "string":
		return "dst = message.AppendJSONString(dst, " + x + ")"
	case f.typ == "bytes":
		return "dst = message.AppendJSONBytes(dst, " + x + ")"
	case f.typ == "uuid":
		return "dst = message.AppendJSONUUID(dst, " + x + ")"
	case f.typ == "bool":
		return "dst = message.AppendJSONBool(dst, " + x + ")"
	case f.typ == "float64":
		return "dst = message.AppendJSONFloat(dst, " + x + ")"
	}
	return "dst = message.AppendJSONInt(dst, int64(" + x + "))"
}
