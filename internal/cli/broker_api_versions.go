package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// brokerAPIVersionsTool is kafka-broker-api-versions: which requests each broker takes, in which versions.
type brokerAPIVersionsTool struct {
	set *kafkaflag.Set

	bootstrap, commandConfig *kafkaflag.Flag
}

func newBrokerAPIVersionsTool() Command {
	s := kafkaflag.New("kafka-broker-api-versions", "This tool helps to retrieve broker version information.", kafkaflag.Jopt)
	return &brokerAPIVersionsTool{
		set:           s,
		commandConfig: s.String("command-config", "command config property file", "A properties file with settings for the admin client."),
		bootstrap: s.String("bootstrap-server", "server(s) to use for bootstrapping",
			"REQUIRED: the brokers to contact first, as host:port, separated by commas."),
	}
}

// Flags implements Command.
func (t *brokerAPIVersionsTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *brokerAPIVersionsTool) Run(ctx context.Context, env Env) error {
	if err := t.set.CheckRequired(t.bootstrap); err != nil {
		return err
	}
	p, err := loadProperties(t.commandConfig.Value())
	if err != nil {
		return throw(env, err)
	}
	c, err := reach(env, p, t.bootstrap.Value(), "")
	if err != nil {
		return throw(env, err)
	}
	defer c.close()
	nodes, err := clusterNodes(ctx, c.admin)
	if err != nil {
		return throw(env, err)
	}
	hashOrder(nodes, defaultHashCapacity, clusterNode.hash)
	for _, n := range nodes {
		if keys, err := apiVersions(ctx, c.admin, n.id); err != nil {
			fmt.Fprintf(env.Stdout, "%s -> ERROR: %v\n", n, err)
		} else {
			fmt.Fprintf(env.Stdout, "%s -> %s\n", n, apiVersionsText(keys))
		}
	}
	return nil
}

func apiVersions(ctx context.Context, admin *client.Admin, broker int32) ([]kmsg.ApiVersionsResponseApiKey, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1" // brokers refuse requests without
	raw, err := admin.CallBroker(ctx, "apiVersions", broker, req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.ApiVersionsResponse)
	return resp.ApiKeys, client.Coded(resp.ErrorCode, nil)
}

// hash is the hashCode of Kafka's Node.
func (n clusterNode) hash() int32 {
	h := 31*(31+stringHash(n.host)) + n.id
	h = 31*h + n.port
	if n.rack != "" {
		return 31*h + stringHash(n.rack)
	}
	return 31 * h
}

// String is a node as Kafka's tools print it.
func (n clusterNode) String() string {
	return fmt.Sprintf("%s:%d (id: %d rack: %s isFenced: false)", n.host, n.port, n.id, cmp.Or(n.rack, "null"))
}

// apiVersionsText lists what a broker takes, and the requests of clients that it does not.
func apiVersionsText(supported []kmsg.ApiVersionsResponseApiKey) string {
	lines := map[int16]string{}
	for key := range clientAPIs {
		lines[key] = apiTitle(key) + "UNSUPPORTED"
	}
	for _, api := range supported {
		lines[api.ApiKey] = apiTitle(api.ApiKey) + versionRange(api) + usable(api)
	}
	keys := make([]int16, 0, len(lines))
	for key := range lines {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	var b strings.Builder
	b.WriteString("(\n\t")
	for i, key := range keys {
		if i > 0 {
			b.WriteString(",\n\t")
		}
		b.WriteString(lines[key])
	}
	b.WriteString("\n)")
	return b.String()
}

func apiTitle(key int16) string {
	if key > kmsg.MaxKey || key < 0 {
		return fmt.Sprintf("UNKNOWN(%d): ", key)
	}
	return fmt.Sprintf("%s(%d): ", apiName(key), key)
}

// apiName is Kafka's name of a request, which writes abbreviations as words.
func apiName(key int16) string {
	if name, ok := clientAPIs[key]; ok && name != "" {
		return name
	}
	return kmsg.NameForKey(key)
}

func versionRange(api kmsg.ApiVersionsResponseApiKey) string {
	if api.MinVersion == api.MaxVersion {
		return fmt.Sprint(api.MinVersion)
	}
	return fmt.Sprintf("%d to %d", api.MinVersion, api.MaxVersion)
}

// usable is the highest version that this client and the broker have in common.
func usable(api kmsg.ApiVersionsResponseApiKey) string {
	if api.ApiKey > kmsg.MaxKey || api.ApiKey < 0 {
		return ""
	}
	own := kmsg.RequestForKey(api.ApiKey)
	switch {
	case own == nil:
		return ""
	case own.MaxVersion() < api.MinVersion:
		return " [unusable: node too new]"
	case api.MaxVersion < 0:
		return " [unusable: node too old]"
	}
	return fmt.Sprintf(" [usable: %d]", min(own.MaxVersion(), api.MaxVersion))
}

// clientAPIs are the requests that brokers are expected to take from clients. A name is given where kmsg's differs.
var clientAPIs = map[int16]string{
	0: "", 1: "", 2: "", 3: "", 8: "", 9: "", 10: "", 11: "", 12: "", 13: "", 14: "", 15: "", 16: "", 17: "SaslHandshake", 18: "ApiVersions",
	19: "", 20: "", 21: "", 22: "InitProducerId", 23: "OffsetForLeaderEpoch", 24: "", 25: "", 26: "", 27: "", 28: "",
	29: "DescribeAcls", 30: "CreateAcls", 31: "DeleteAcls", 32: "", 33: "", 34: "", 35: "", 36: "SaslAuthenticate", 37: "", 38: "", 39: "",
	40: "", 41: "", 42: "", 43: "", 44: "", 45: "AlterPartitionReassignments", 46: "", 47: "", 48: "", 49: "",
	50: "DescribeUserScramCredentials", 51: "AlterUserScramCredentials", 55: "", 57: "", 60: "", 61: "", 64: "", 65: "", 66: "", 68: "", 69: "",
	71: "", 72: "", 74: "ListConfigResources", 75: "", 76: "", 77: "", 78: "", 79: "", 80: "", 81: "", 83: "", 84: "", 85: "", 86: "", 87: "",
	88: "", 89: "", 90: "", 91: "", 92: "",
}
