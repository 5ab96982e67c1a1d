package tlsconf

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// shortNames are the types that RFC 2253 writes by name, as Java's X500Principal does; others are written by their
// number.
var shortNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.6": "C", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "STREET", "2.5.4.10": "O", "2.5.4.11": "OU",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.25": "DC",
}

// rawAttribute keeps the bytes of a value, which are what is shown of types without a name.
type rawAttribute struct {
	Type  asn1.ObjectIdentifier
	Value asn1.RawValue
}

type rawSet []rawAttribute

// DistinguishedName writes a DER encoded subject as Apache Kafka does (RFC 2253), "" if it is not valid.
func DistinguishedName(der []byte) string {
	var sequence []asn1.RawValue
	if rest, err := asn1.Unmarshal(der, &sequence); err != nil || len(rest) > 0 {
		return ""
	}
	var parts []string
	for i := len(sequence) - 1; i >= 0; i-- {
		var set rawSet
		if _, err := asn1.UnmarshalWithParams(sequence[i].FullBytes, &set, "set"); err != nil {
			return ""
		}
		var together []string
		for _, a := range set {
			together = append(together, a.text())
		}
		parts = append(parts, strings.Join(together, "+"))
	}
	return strings.Join(parts, ",")
}

func (a *rawAttribute) text() string {
	name, known := shortNames[a.Type.String()]
	var value pkix.AttributeTypeAndValue
	if known {
		if _, err := asn1.Unmarshal(a.Value.FullBytes, &value.Value); err == nil {
			if s, ok := value.Value.(string); ok && utf8.ValidString(s) {
				return name + "=" + escape(s)
			}
		}
	} else {
		name = a.Type.String()
	}
	return name + "=#" + hex.EncodeToString(a.Value.FullBytes)
}

// escape quotes what has a meaning in a distinguished name.
func escape(s string) string {
	var b strings.Builder
	for i, r := range s {
		last := i+utf8.RuneLen(r) == len(s)
		if strings.ContainsRune(`,+"\<>;`, r) || i == 0 && (r == '#' || r == ' ') || last && r == ' ' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
