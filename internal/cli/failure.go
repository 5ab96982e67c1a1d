package cli

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// failed ends a tool that has printed its failure already.
var failed = &kafkaflag.ExitError{Code: 1}

// interrupted ends a tool that was stopped from the keyboard, with the code that shells expect.
var interrupted = &kafkaflag.ExitError{Code: 130}

// throw prints an error as Kafka's tools print an exception that ends them: the message, then the first line of the
// stack trace. Errors of kafkaflag pass, they are printed by its Report.
func throw(env Env, err error) error {
	if err == nil || kafkaflag.Handled(err) {
		return err
	}
	message := err.Error()
	var creation *client.CreationError
	if errors.As(err, &creation) {
		message = "Failed to create new KafkaAdminClient"
		fmt.Fprintf(env.Stderr, "%s\norg.apache.kafka.common.KafkaException: %s\nCaused by: %s\n\n", message, message, client.Java(creation.Cause))
		return failed
	}
	fmt.Fprintf(env.Stderr, "%s\n%s\n\n", message, client.Java(err))
	return failed
}

// connect makes the admin client of a tool from --bootstrap-server (or --bootstrap-controller) and --command-config,
// whose properties the former overrides.
func connect(env Env, bootstrapKey, bootstrap, configFile string) (*client.Admin, error) {
	p := client.Properties{}
	if configFile != "" {
		var err error
		if p, err = client.LoadProperties(configFile); err != nil {
			return nil, err
		}
	}
	if bootstrap != "" {
		delete(p, "bootstrap.servers")
		delete(p, "bootstrap.controllers")
		p[bootstrapKey] = bootstrap
	}
	return client.NewAdmin(p, env.Stderr)
}

// quoted joins as 'a', 'b'.
func quoted(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return "'" + strings.Join(words, "', '") + "'"
}

// topicFilter matches topic names against a list of regular expressions as Kafka's tools take them: separated by
// commas or "|", blanks ignored, quotes around it dropped, matching whole names.
type topicFilter struct{ pattern *regexp.Regexp }

func newTopicFilter(raw string) (*topicFilter, error) {
	clean := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(raw), ",", "|"), " ", "")
	clean = strings.Trim(clean, `"'`)
	pattern, err := regexp.Compile(`^(?:` + clean + `)$`)
	if err != nil {
		return nil, &client.Error{Class: "java.lang.RuntimeException", Message: clean + " is an invalid regex."}
	}
	return &topicFilter{pattern}, nil
}

func (f *topicFilter) allows(topic string, excludeInternal bool) bool {
	return f.pattern.MatchString(topic) && !(excludeInternal && isInternalTopic(topic))
}

func isInternalTopic(topic string) bool {
	switch topic {
	case "__consumer_offsets", "__transaction_state", "__share_group_state":
		return true
	}
	return false
}
