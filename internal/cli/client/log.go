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
	stderr   io.Writer

	mu        sync.Mutex
	connected bool
}

var defaultClientIDs = map[Role]string{AdminRole: "adminclient-1", ProducerRole: "producer-1", ConsumerRole: "consumer-1"}

func newConnectionLog(role Role, clientID string, stderr io.Writer) *connectionLog {
	if clientID == "" {
		clientID = defaultClientIDs[role]
	}
	return &connectionLog{role: role, clientID: clientID, stderr: stderr}
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
	if cause, fatal := handshakeFailure(err); fatal {
		Logf(l.stderr, "ERROR", logger, "[%s clientId=%s] Connection to node %d (%s) failed authentication due to: %s",
			l.role, l.clientID, node, address(meta), cause)
		return
	}
	Logf(l.stderr, "WARN", logger, "[%s clientId=%s] Connection to node %d (%s) could not be established. Node may not be available.",
		l.role, l.clientID, node, address(meta))
}

func handshakeFailure(err error) (string, bool) {
	text := err.Error()
	return text, strings.Contains(text, "SASL") || strings.Contains(text, "tls:") || strings.Contains(text, "x509:")
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
