package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/sasl"
)

// jaasFlag is how Java is told of a file with login modules.
const jaasFlag = "-Djava.security.auth.login.config="

// jaasOverrides turns the file with login modules that KAFKA_OPTS names into sasl.jaas.config of each listener and mechanism that
// has none in the settings. As in Kafka a section "listener.KafkaServer" (the listener's name in lower case) counts before KafkaServer.
func jaasOverrides(cfg *config.Set, kafkaOpts string) ([]string, error) {
	name := ""
	for _, opt := range strings.Fields(kafkaOpts) {
		if file, ok := strings.CutPrefix(opt, jaasFlag); ok {
			name = strings.Trim(file, `"'`)
		}
	}
	if name == "" {
		return nil, nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("KAFKA_OPTS has %s%s: %s", jaasFlag, name, err.Error()) // not the error of the file with settings
	}
	sections, err := sasl.ParseJAASFile(string(data))
	if err != nil {
		return nil, fmt.Errorf("KAFKA_OPTS has %s%s: %w", jaasFlag, name, err)
	}
	var out []string
	for _, l := range cfg.Node().Listeners {
		if l.Protocol != config.SASLPlaintext && l.Protocol != config.SASLSSL {
			continue
		}
		entries := sections[strings.ToLower(l.Name)+".KafkaServer"]
		if entries == nil {
			entries = sections["KafkaServer"]
		}
		scope := cfg.ForListener(l.Name)
		for _, mechanism := range scope.List("sasl.enabled.mechanisms") {
			if scope.ForMechanism(mechanism).String("sasl.jaas.config") != "" {
				continue
			}
			for i := range entries {
				if entries[i].For(mechanism) == nil {
					out = append(out, fmt.Sprintf("listener.name.%s.%s.sasl.jaas.config=%s", strings.ToLower(l.Name), strings.ToLower(mechanism), entries[i].Text()))
					break
				}
			}
		}
	}
	return out, nil
}
