package cli

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
)

// splitOutside splits at a separator, but not between square brackets: a separator counts unless a "]" comes before
// the next "[".
func splitOutside(text string, separator byte) (parts []string) {
	start := 0
	for i := 0; i < len(text); i++ {
		if text[i] != separator {
			continue
		}
		rest := text[i+1:]
		if next := strings.IndexAny(rest, "[]"); next >= 0 && rest[next] == ']' {
			continue
		}
		parts = append(parts, text[start:i])
		start = i + 1
	}
	return append(parts, text[start:])
}

// configsToAdd are the settings of --add-config-file and --add-config.
func (t *configsTool) configsToAdd() (client.Properties, error) {
	p := client.Properties{}
	if t.addConfigFile.Present() {
		var err error
		if p, err = client.LoadProperties(t.addConfigFile.Value()); err != nil {
			return nil, err
		}
	}
	if t.addConfig.Present() {
		more, err := parseConfigPairs(t.addConfig.Value())
		if err != nil {
			return nil, err
		}
		p.With(more)
	}
	return p, checkConfigNames(slices.Sorted(maps.Keys(p)))
}

// parseConfigPairs reads "k1=v1,k2=[v1,v2]". Brackets are dropped from the values.
func parseConfigPairs(text string) (client.Properties, error) {
	p := client.Properties{}
	for _, pair := range splitOutside(text, ',') {
		kv := splitOutside(pair, '=')
		if len(kv) != 2 {
			return nil, client.IllegalArgument("requirement failed: Invalid entity config: all configs to be added must be in the format \"key=val\" or  " +
				"\"key=[val1,val2]\" to group values which contain commas.")
		}
		p[strings.TrimSpace(kv[0])] = strings.TrimSpace(strings.NewReplacer("[", "", "]", "").Replace(kv[1]))
	}
	return p, nil
}

// configsToDelete are the names of --delete-config.
func (t *configsTool) configsToDelete() ([]string, error) {
	var names []string
	for _, v := range t.deleteConfig.Values() {
		for name := range strings.SplitSeq(v, ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return names, checkConfigNames(names)
}

var configName = regexp.MustCompile(`^[$a-zA-Z0-9._-]*$`)

func checkConfigNames(names []string) error {
	for _, name := range names {
		if !configName.MatchString(name) {
			return client.IllegalArgument("Invalid character found for config key: " + name)
		}
	}
	return nil
}
