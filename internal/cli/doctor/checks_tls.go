package doctor

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// How near its end a certificate is a warning, and an error.
const (
	soon     = 30 * 24 * time.Hour
	verySoon = 7 * 24 * time.Hour
)

// weakProtocols can be broken, or will be.
var weakProtocols = []string{"SSLv2Hello", "SSLv3", "TLSv1", "TLSv1.1"}

// weakSuite says why a cipher suite should not be used.
func weakSuite(name string) bool {
	for _, part := range []string{"_NULL_", "_anon_", "_EXPORT", "_RC4_", "_DES_", "_3DES_", "_MD5"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return strings.HasPrefix(name, "TLS_RSA_")
}

func checkWeakTLS(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if !l.tlsOn() {
				continue
			}
			var weak []string
			if l.tls != nil {
				weak = slices.Clone(l.tls.weak)
			}
			if n.file != "" {
				for _, p := range split(n.at(l, "ssl.enabled.protocols"), ",") {
					if slices.Contains(weakProtocols, p) {
						weak = append(weak, p)
					}
				}
				for _, c := range split(n.at(l, "ssl.cipher.suites"), ",") {
					if weakSuite(c) {
						weak = append(weak, c)
					}
				}
			}
			if len(weak) > 0 {
				out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("listener %s accepts %s", l.name, strings.Join(weak, ", ")),
					Fix: n.line("ssl.enabled.protocols=TLSv1.2,TLSv1.3") + "\nand no ssl.cipher.suites, or only ones with ECDHE and GCM or CHACHA20"})
			}
		}
		return out
	})
}

func checkCertificateEnd(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if l.tls == nil || l.tls.leaf == nil {
				continue
			}
			what, end := "its certificate", l.tls.leaf.NotAfter
			for _, c := range l.tls.chain {
				if c.NotAfter.Before(end) {
					what, end = "the authority "+c.Subject.CommonName, c.NotAfter
				}
			}
			left := end.Sub(f.now)
			days := int(left.Hours() / 24)
			found := Finding{Evidence: fmt.Sprintf("listener %s: %s ends on %s, in %d days", l.name, what, end.UTC().Format(time.DateOnly), days),
				Fix: "weir security cert renew DIR   # if weir security init made it; a new file counts without a restart"}
			switch {
			case left <= 0:
				found.Severity, found.Evidence = Error, fmt.Sprintf("listener %s: %s has ended on %s: clients refuse it", l.name, what, end.UTC().Format(time.DateOnly))
			case left < verySoon:
				found.Severity = Error
			case left < soon:
				found.Severity = Warning
			case f.now.Before(l.tls.leaf.NotBefore):
				found.Severity, found.Evidence, found.Fix = Error, fmt.Sprintf("listener %s: its certificate is not valid before %s: a clock is wrong here or there", l.name, l.tls.leaf.NotBefore.UTC().Format(time.RFC3339)), "set the clock (timedatectl set-ntp true)"
			default:
				continue
			}
			out = append(out, found)
		}
		return out
	})
}

func checkCertificateName(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if l.tls == nil || l.tls.leaf == nil || l.host == "" {
				continue
			}
			if l.tls.leaf.VerifyHostname(l.host) == nil {
				continue
			}
			names := slices.Clone(l.tls.leaf.DNSNames)
			for _, ip := range l.tls.leaf.IPAddresses {
				names = append(names, ip.String())
			}
			has := "no names at all"
			if len(names) > 0 {
				has = strings.Join(names, ", ")
			}
			out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("listener %s advertises %s, but its certificate is for %s: clients refuse it", l.name, l.host, has),
				Fix: "a certificate with " + l.host + " among its names (subjectAltName), or advertised.listeners with a name that it has"})
		}
		return out
	})
}

func checkCertificateUsable(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, l := range n.listeners {
			if l.tls != nil && l.tls.failed != "" {
				out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("listener %s: %s", l.name, l.tls.failed), Fix: n.line("ssl.keystore.location=FILE   # with ssl.keystore.type and what it needs")})
			}
		}
		return out
	})
}

func checkPeerNames(f *facts) []Finding {
	return each(f, func(n *node) []Finding {
		usesTLS := slices.ContainsFunc(n.listeners, listener.tlsOn)
		if v, ok := n.settings["ssl.endpoint.identification.algorithm"]; !usesTLS || !ok || strings.TrimSpace(v) != "" {
			return nil
		}
		return []Finding{{Severity: Warning, Evidence: "ssl.endpoint.identification.algorithm is empty: nodes take any certificate of their authority for any other node",
			Fix: n.line("ssl.endpoint.identification.algorithm=https")}}
	})
}

func checkAdvertised(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		elsewhere := f.cluster != nil && !bootstrapIsLocal(f.cluster.bootstrap)
		for _, l := range n.listeners {
			found := Finding{Severity: Error, Fix: n.line("advertised.listeners=" + l.name + "://NAME-THAT-CLIENTS-REACH:" + fmt.Sprint(l.port))}
			ip := net.ParseIP(l.host)
			switch {
			case slices.Contains(split(strings.ToUpper(n.get("controller.listener.names")), ","), l.name) && !l.mustReach:
				continue
			case ip != nil && ip.IsUnspecified():
				found.Evidence = fmt.Sprintf("listener %s advertises %s, which is no address that anybody can dial", l.name, l.host)
			case l.mustReach && l.failed != "":
				found.Evidence = fmt.Sprintf("clients are sent to %s, which cannot be reached from here: %s", l.address(), l.failed)
			case l.mustReach && elsewhere && loopback(l.host):
				found.Evidence = fmt.Sprintf("clients are sent to %s, which is their own machine", l.address())
			case n.file != "" && l.failed != "":
				found.Evidence = fmt.Sprintf("listener %s advertises %s: %s", l.name, l.host, l.failed)
			case n.file != "" && l.bind == "" && loopback(l.host):
				found.Evidence = fmt.Sprintf("listener %s listens on all addresses and advertises %s: clients of other machines are sent to themselves", l.name, l.host)
			default:
				continue
			}
			out = append(out, found)
		}
		return out
	})
}

func bootstrapIsLocal(bootstrap string) bool {
	return !slices.ContainsFunc(split(bootstrap, ","), func(s string) bool {
		host, _, err := net.SplitHostPort(s)
		return err == nil && !loopback(host)
	})
}
