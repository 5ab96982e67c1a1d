# Weir in a container. Settings come from KAFKA_* variables as in Apache Kafka's
# image, or from a file at /opt/kafka/config/server.properties; without either
# it is one node on port 9092. A variable wins over the file: to keep data
# elsewhere than in /var/lib/kafka/data, set KAFKA_LOG_DIRS.
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X github.com/weir-stream/weir/internal/cli.version=$VERSION" -o /out/weir ./cmd/weir
# Kafka's tools where its image has them, as links.
RUN mkdir -p /out/data /out/bin /out/tmp && go run -buildvcs=false ./cmd/weir install-tools /tmp/tools && \
    for tool in $(ls /tmp/tools); do ln -s /usr/local/bin/weir /out/bin/$tool; done
RUN printf '%s\n' process.roles=broker,controller node.id=1 controller.quorum.voters=1@localhost:9093 \
      listeners=PLAINTEXT://:9092,CONTROLLER://:9093 advertised.listeners=PLAINTEXT://localhost:9092 \
      controller.listener.names=CONTROLLER offsets.topic.replication.factor=1 \
      > /out/server.properties

FROM scratch
COPY --from=build /out/weir /usr/local/bin/weir
COPY --from=build /out/bin /opt/kafka/bin
COPY --from=build /out/server.properties /opt/kafka/config/server.properties
COPY --from=build --chown=1000:1000 /out/data /var/lib/kafka/data
COPY --from=build --chown=1000:1000 /out/tmp /tmp
ENV PATH=/usr/local/bin:/opt/kafka/bin KAFKA_LOG_DIRS=/var/lib/kafka/data
USER 1000:1000
EXPOSE 9092
VOLUME /var/lib/kafka/data
STOPSIGNAL SIGTERM
# For listeners on another port give another check, or none.
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s --retries=3 \
  CMD ["weir", "kafka-topics", "--bootstrap-server", "localhost:9092", "--list"]
ENTRYPOINT ["weir", "container-start"]
