package config

import (
	"slices"
	"strings"
	"time"
)

// Scope reads settings as one listener, or one SASL mechanism of it, has them: what stands under
// listener.name.<listener>.<mechanism>. or listener.name.<listener>. counts before what holds for all.
type Scope struct {
	set      *Set
	prefixes []string // most special first
}

// ForListener returns the settings of a listener.
func (s *Set) ForListener(name string) Scope {
	return Scope{set: s, prefixes: []string{listenerPrefixOf(name)}}
}

func listenerPrefixOf(name string) string { return "listener.name." + strings.ToLower(name) + "." }

// ForMechanism narrows the scope of a listener to a SASL mechanism.
func (v Scope) ForMechanism(mechanism string) Scope {
	return Scope{set: v.set, prefixes: append([]string{v.prefixes[0] + strings.ToLower(mechanism) + "."}, v.prefixes...)}
}

// own returns the value under the scope's own prefixes.
func (v Scope) own(key string) (Value, bool) {
	d := LookupBroker(key)
	if d == nil {
		panic("config: there is no setting " + key)
	}
	for _, prefix := range v.prefixes {
		for _, layer := range []map[string]string{v.set.dynamicBroker, v.set.dynamicDefault, v.set.static, v.set.extra} {
			if raw, ok := layer[prefix+key]; ok {
				if value, err := d.Parse(raw); err == nil {
					return value, true
				}
			}
		}
	}
	return Value{}, false
}

// IsOwn tells whether the setting was given for this listener or mechanism.
func (v Scope) IsOwn(key string) bool {
	_, ok := v.own(key)
	return ok
}

func (v Scope) get(key string, types ...Type) Value {
	all := v.set.get(key, types...) // for the check of the type
	if own, ok := v.own(key); ok {
		return own
	}
	return all
}

// Is tells whether the setting has a value.
func (v Scope) Is(key string) bool { return !v.get(key).Null }

// String returns a String, Class or Password setting; null gives "".
func (v Scope) String(key string) string { return v.get(key, String, Class, Password).Str }

// List returns a List setting; the slice must not be changed.
func (v Scope) List(key string) []string { return v.get(key, List).List }

// Bool returns a Boolean setting.
func (v Scope) Bool(key string) bool { return v.get(key, Boolean).Bool }

// Int returns an Int or Short setting.
func (v Scope) Int(key string) int { return int(v.get(key, Int, Short).Int) }

// Millis returns a setting that counts milliseconds.
func (v Scope) Millis(key string) time.Duration { return millis(v.get(key, Long, Int, Short).Int) }

// strayListeners returns the keys given for listeners that there are not: with ssl.client.auth, say, their author
// believes in a protection that is nowhere.
func (s *Set) strayListeners() []string {
	var out []string
	for _, key := range sortedKeys(s.extra) {
		rest, ok := strings.CutPrefix(key, "listener.name.")
		if !ok {
			continue
		}
		name, _, ok := strings.Cut(rest, ".")
		is := func(l Listener) bool { return strings.ToLower(l.Name) == name }
		if ok && !slices.ContainsFunc(s.node.Listeners, is) && !slices.Contains(lowered(s.node.ControllerListenerNames), name) {
			out = append(out, key)
		}
	}
	return out
}

func lowered(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = strings.ToLower(s)
	}
	return out
}
