package config

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseProperties(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"separators", "a=1\nb:2\nc 3\nd\t=\t4\ne  :  5\nf==6\ng= = 7", "a=1 b=2 c=3 d=4 e=5 f==6 g== 7"},
		{"comments", "# no\n ! no\n\n  \t\na=1 # yes\n#a=2", "a=1 # yes"},
		{"no value", "a\nb=\nc:\n", "a= b= c="},
		{"continuation", "a=1,\\\n   2,\\\n\t3\nb=x\\\\\nc=y", "a=1,2,3 b=x\\ c=y"},
		{"continuation is no comment", "a=1\\\n# 2\nb=3", "a=1# 2 b=3"},
		{"continuation at the end", "a=1\\", "a=1"},
		{"blank continuation", "a=1\\\n\nb=2", "a=1 b=2"},
		{"line ends", "a=1\rb=2\r\nc=3\n\rd=4\\\r\n 5", "a=1 b=2 c=3 d=45"},
		{"escapes", `a\=b=1\:2\ 3\t4\n\z`, "a=b=1:2 3\t4\nz"},
		{"unicode", `k\u00e9y=\u4e2d\uD83D\uDE00`, "kéy=中😀"},
		{"key with escaped space", `a\ b c=1`, "a b=c=1"},
		{"value keeps trailing blanks", "a=1 \t", "a=1 \t"},
		{"utf-8", "a=größe", "a=größe"},
		{"latin-1", "a=gr\xf6\xdfe", "a=größe"},
		{"last one counts", "a=1\na=2", "a=1 a=2"},
	} {
		props, err := ParseProperties([]byte(c.in))
		var got []string
		for _, p := range props {
			got = append(got, p.Key+"="+p.Value)
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q %v, want %q", c.name, strings.Join(got, " "), err, c.want)
		}
	}
}

func TestParsePropertiesKnowsTheLine(t *testing.T) {
	props, err := ParseProperties([]byte("# one\n\na=1\\\n 2\nb=3\n"))
	if err != nil || len(props) != 2 || props[0].Line != 3 || props[1].Line != 5 {
		t.Errorf("props = %+v %v", props, err)
	}
	if _, err := ParseProperties([]byte("a=1\nb=\\u12g4")); err == nil || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), "u12g4") {
		t.Errorf("err = %v", err)
	}
	if _, err := ParseProperties([]byte(`b=\u12`)); err == nil {
		t.Error("a short escape is accepted")
	}
	if v, ok := props.Get("b"); !ok || v != "3" {
		t.Errorf("b = %q %v", v, ok)
	}
}

// FuzzParseProperties checks what holds for every input: no panic, lines that rise, text that stays valid, and
// that keys and values written out again in escaped form are read back as they are.
func FuzzParseProperties(f *testing.F) {
	for _, s := range []string{"a=1", "a\\=b:c\\\n d", "\\", "\\u0041=\\", "#\r!\r\n=x", "a=\xff\\u00e9"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		props, err := ParseProperties(data)
		if err != nil {
			return
		}
		last := 0
		var again strings.Builder
		for _, p := range props {
			if p.Line <= last {
				t.Fatalf("lines do not rise: %+v", props)
			}
			last = p.Line
			if utf8.Valid(data) && (!utf8.ValidString(p.Key) || !utf8.ValidString(p.Value)) {
				t.Fatalf("invalid text in %v", p)
			}
			again.WriteString(escaped(p.Key) + "=" + escaped(p.Value) + "\n")
		}
		back, err := ParseProperties([]byte(again.String()))
		if err != nil || len(back) != len(props) {
			t.Fatalf("%v was written as %q and read as %v, %v", props, again.String(), back, err)
		}
		for i := range back {
			if back[i].Key != props[i].Key || back[i].Value != props[i].Value {
				t.Fatalf("%v was written as %q and read as %v", props[i], again.String(), back[i])
			}
		}
	})
}

func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`, " ", `\ `, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`).Replace(s)
}
