package client

import (
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Logf prints a line as the tools of Kafka log to standard error: "[time] LEVEL message (logger)".
func Logf(w io.Writer, level, logger, format string, args ...any) {
	now := time.Now().Format("2006-01-02 15:04:05,000")
	fmt.Fprintf(w, "[%s] %s %s (%s)\n", now, level, fmt.Sprintf(format, args...), logger)
}

// connectionLog warns about connections that cannot be established, as Kafka's clients do. It is a hook of kgo and
// safe for concurrent use.
type connectionLog struct {
	role     Role
	clientID string
	who      string // as it stands in warnings: client and group
	stderr   io.Writer

	mu        sync.Mutex
	connected bool
}

var defaultClientIDs = map[Role]string{AdminRole: "adminclient-1", ProducerRole: "producer-1", ConsumerRole: "consumer-1"}

func newConnectionLog(role Role, p Properties, stderr io.Writer) *connectionLog {
	clientID := p["client.id"]
	if clientID == "" {
		clientID = defaultClientIDs[role]
	}
	who := "clientId=" + clientID
	if role == ConsumerRole && p["group.id"] != "" {
		who += ", groupId=" + p["group.id"]
	}
	return &connectionLog{role: role, clientID: clientID, who: who, stderr: stderr}
}

// OnBrokerConnect is called by kgo after each attempt to connect.
func (l *connectionLog) OnBrokerConnect(meta kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.connected = true
		return
	}
	if text := err.Error(); strings.Contains(text, "cancel") || strings.Contains(text, "deadline exceeded") { // given up by this side
		return
	}
	node := meta.NodeID
	if node < 0 { // kgo counts its seeds from the smallest int32 up, Kafka from -1 down
		node = -1 - (node - math.MinInt32)
	}
	logger := "org.apache.kafka.clients.NetworkClient"
	if isHandshakeFailure(err) {
		Logf(l.stderr, "ERROR", logger, "[%s %s] Connection to node %d (%s) failed authentication due to: %v",
			l.role, l.who, node, address(meta), authenticationError(err))
		return
	}
	Logf(l.stderr, "WARN", logger, "[%s %s] Connection to node %d (%s) could not be established. Node may not be available.",
		l.role, l.who, node, address(meta))
}

// OnAuthenticationFailure calls fn when a broker and this client do not believe each other, which no retry mends.
// It may be called several times, from any goroutine.
func OnAuthenticationFailure(fn func(error)) kgo.Opt { return kgo.WithHooks(authenticationHook{fn}) }

type authenticationHook struct{ fn func(error) }

// OnBrokerConnect is called by kgo after each attempt to connect.
func (h authenticationHook) OnBrokerConnect(_ kgo.BrokerMetadata, _ time.Duration, _ net.Conn, err error) {
	if err != nil && isHandshakeFailure(err) {
		h.fn(authenticationError(err))
	}
}

// address is a broker's address as Java prints it: "name/1.2.3.4:9092", or "/1.2.3.4:9092" when it is a number.
func address(meta kgo.BrokerMetadata) string {
	port := fmt.Sprint(meta.Port)
	if net.ParseIP(meta.Host) != nil {
		return "/" + net.JoinHostPort(meta.Host, port)
	}
	if ips, err := net.LookupHost(meta.Host); err == nil && len(ips) > 0 {
		return meta.Host + "/" + net.JoinHostPort(ips[0], port)
	}
	return net.JoinHostPort(meta.Host, port)
}

func (l *connectionLog) everConnected() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connected
}
