package config

import (
	"regexp"
	"slices"
	"strings"
)

var listenerPrefix = regexp.MustCompile(`^listener\.name\.[^.]*\.(.*)$`)

// IsListenerKey tells whether a setting is one of a single listener.
func IsListenerKey(name string) bool {
	_, prefixed := baseName(name)
	return prefixed
}

// listenerMechanismKeys may stand behind listener.name.<listener>.<mechanism>.
var listenerMechanismKeys = []string{"sasl.jaas.config", "sasl.login.callback.handler.class", "sasl.login.class", "sasl.server.callback.handler.class", "connections.max.reauth.ms"}

// baseName returns the declared setting behind a name that may have a listener prefix.
func baseName(name string) (base string, prefixed bool) {
	m := listenerPrefix.FindStringSubmatch(name)
	if m == nil {
		return name, false
	}
	for _, k := range listenerMechanismKeys {
		if strings.HasSuffix(m[1], k) {
			return k, true
		}
	}
	// Any other setting of a mechanism is read under its prefix too (Scope), so that it has to be judged as what it is: what only the
	// node's own file may say, where keys and tokens come from for example, is not for AlterConfigs (CVE-2025-27817).
	if mechanism, key, ok := strings.Cut(m[1], "."); ok && slices.ContainsFunc(mechanismChoice.allowed, func(a string) bool { return strings.EqualFold(a, mechanism) }) && LookupBroker(key) != nil {
		return key, true
	}
	return m[1], true
}

// perListenerOnly are the settings that can change while running only under a listener prefix.
func perListenerOnly(d *Def) bool {
	return strings.HasPrefix(d.Name, "ssl.") && d.Update == PerBroker
}

func checkDynamicName(name string, perBroker bool) error {
	base, prefixed := baseName(name)
	d := LookupBroker(base)
	switch {
	case d == nil:
		return nil // unknown names are kept: a newer controller may know them
	case d.Update == ReadOnly:
		return notDynamic([]string{name})
	case !prefixed && perListenerOnly(d):
		return onlyPerListener([]string{name})
	case !perBroker && (d.Update == PerBroker || prefixed && !clusterLevelListener(base)):
		return onlyPerBroker([]string{name})
	}
	return nil
}

func clusterLevelListener(base string) bool {
	return base == "max.connections" || base == "max.connection.creation.rate" || base == "num.network.threads"
}

func notDynamic(names []string) error {
	return &Error{Key: names[0], Full: "Cannot update these configs dynamically: [" + strings.Join(names, ", ") + "]"}
}

func onlyPerListener(names []string) error {
	return &Error{Key: names[0], Full: "These security configs can be dynamically updated only per-listener using the listener prefix: [" + strings.Join(names, ", ") + "]"}
}

func onlyPerBroker(names []string) error {
	return &Error{Key: names[0], Full: "Cannot update these configs at default cluster level, broker id must be specified: [" + strings.Join(names, ", ") + "]"}
}

// ValidateBroker checks the dynamic settings that a broker (or, with perBroker false, the default of all
// brokers) is to have as a whole: names, types, ranges, and whether the broker could run with them. Errors are
// *Error with Kafka's sentence.
func (s *Set) ValidateBroker(settings map[string]string, perBroker bool) error {
	if err := CheckBroker(settings, perBroker); err != nil {
		return err
	}
	next := *s
	if perBroker {
		next.dynamicBroker = settings
	} else {
		next.dynamicDefault = settings
	}
	if bad := next.effective(); len(bad) > 0 {
		return bad[0]
	}
	return next.validateDynamic(s)
}

// CheckBroker checks names, types and ranges of the dynamic settings of a broker, or of all brokers by default, as far as
// that can be judged without knowing the broker. Errors are as those of ValidateBroker.
func CheckBroker(settings map[string]string, perBroker bool) error {
	if err := checkDynamicNames(sortedKeys(settings), perBroker); err != nil {
		return err
	}
	for _, name := range sortedKeys(settings) {
		base, _ := baseName(name)
		d := LookupBroker(base)
		if d == nil {
			continue
		}
		if _, err := d.Parse(settings[name]); err != nil {
			return err
		}
		if err := gateCheck(name, settings[name]); err != nil {
			return err
		}
	}
	return nil
}

// checkDynamicNames names all offenders of a kind in one sentence, as Kafka does.
func checkDynamicNames(names []string, perBroker bool) error {
	var readOnly, perListener, brokerOnly []string
	for _, name := range names {
		base, prefixed := baseName(name)
		d := LookupBroker(base)
		if d == nil {
			continue
		}
		if d.Update == ReadOnly {
			readOnly = append(readOnly, name)
		}
		if !prefixed && perListenerOnly(d) {
			perListener = append(perListener, name)
		}
		if !perBroker && (d.Update == PerBroker || prefixed && !clusterLevelListener(base)) {
			brokerOnly = append(brokerOnly, name)
		}
	}
	switch {
	case len(readOnly) > 0:
		return notDynamic(readOnly)
	case len(perListener) > 0:
		return onlyPerListener(perListener)
	case len(brokerOnly) > 0:
		return onlyPerBroker(brokerOnly)
	}
	return nil
}

// resizable are the pools whose size may at most double or halve in one step, as in Kafka.
var resizable = []string{"num.io.threads", "num.network.threads", "num.replica.fetchers", "num.recovery.threads.per.data.dir", "background.threads"}

func (s *Set) validateDynamic(old *Set) error {
	for _, name := range resizable {
		was, now := old.Int(name), s.Int(name)
		reason := ""
		switch {
		case now == was:
		case now < was/2:
			reason = "value should be at least half the current value"
		case now > was*2:
			reason = "value should not be greater than double the current value"
		}
		if reason != "" {
			raw := s.Long(name)
			return &Error{Key: name, Full: "Dynamic thread count update validation failed for " + name + "=" + formatInt(raw) + ": " + reason + " " + formatInt(int64(was))}
		}
	}
	switch was, now := old.Int("log.cleaner.threads"), s.Int("log.cleaner.threads"); {
	case now < was/2:
		return &Error{Key: "log.cleaner.threads", Full: "Log cleaner threads cannot be reduced to less than half the current value " + formatInt(int64(was))}
	case now > was*2:
		return &Error{Key: "log.cleaner.threads", Full: "Log cleaner threads cannot be increased to more than double the current value " + formatInt(int64(was))}
	}
	if err := s.validateCross(); err != nil {
		return err
	}
	if changed := slices.ContainsFunc([]string{"listeners", "advertised.listeners", "listener.security.protocol.map"}, func(k string) bool {
		return s.Text(k) != old.Text(k)
	}); changed {
		if _, err := s.deriveNode(); err != nil {
			return err
		}
	}
	return nil
}
