package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// metadataPatience is how long a broker that was refused waits for the metadata that says why.
const metadataPatience = 5 * time.Second

// refusedFor adds to a refused registration which finalized features this broker cannot do, and how they are lowered: the
// controller's answer is only a code, but the metadata of the cluster has reached this node or does so soon.
func (n *Node) refusedFor(ctx context.Context, err error) error {
	if !errors.Is(err, wire.UnsupportedVersion) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, metadataPatience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		img := n.served.Load()
		if beyond := img.Beyond(image.SupportedFeatures()); len(beyond) > 0 && img.MetadataVersion() > 0 {
			return fmt.Errorf("%w: %s", err, howToLower(img, beyond))
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// howToLower says what is finalized beyond this broker, and the command that changes it.
func howToLower(img *image.Image, beyond []image.FeatureRange) string {
	var has, lower []string
	verb := "downgrade"
	for _, f := range beyond {
		can := image.FeatureRange{Name: f.Name}
		for _, s := range image.SupportedFeatures() {
			if s.Name == f.Name {
				can = s
			}
		}
		level := can.Max
		if f.Max < can.Min {
			verb, level = "upgrade", can.Min
		}
		has = append(has, fmt.Sprintf("%s is %d where this broker does %d to %d", f.Name, f.Max, can.Min, can.Max))
		lower = append(lower, fmt.Sprintf("--feature %s=%d", f.Name, level))
	}
	return fmt.Sprintf("in this cluster %s; the command that changes it is: kafka-features --bootstrap-server %s %s %s",
		strings.Join(has, ", "), someBroker(img), verb, strings.Join(lower, " "))
}

// someBroker is the address of a broker that can be asked.
func someBroker(img *image.Image) string {
	for b := range img.Brokers() {
		if !b.Fenced && len(b.Endpoints) > 0 {
			return net.JoinHostPort(b.Endpoints[0].Host, strconv.Itoa(int(b.Endpoints[0].Port)))
		}
	}
	return "BROKER:PORT"
}
