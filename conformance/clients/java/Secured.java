import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** Secured.java CELLS: logs in, produces and reads one record for each line of CELLS (see secured_matrix_test.go), and prints how that went. */
public class Secured {
    public static void main(String[] args) throws Exception {
        List<String> lines = Files.readAllLines(Path.of(args[0]));
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<String>> outcomes = new ArrayList<>();
        for (String line : lines) {
            outcomes.add(pool.submit(() -> {
                String[] cell = line.split("\t", -1);
                return cell[0] + "\t" + outcome(cell);
            }));
        }
        for (Future<String> o : outcomes) System.out.println(o.get());
        System.out.flush();
        Runtime.getRuntime().halt(0); // some clients still try to connect
    }

    static String outcome(String[] cell) {
        try {
            roundTrip(cell);
            return "ok";
        } catch (Throwable failure) {
            StringBuilder chain = new StringBuilder();
            for (Throwable t = failure; t != null; t = t.getCause()) {
                if (t instanceof SslAuthenticationException) return "tls";
                if (t instanceof AuthenticationException) return "authentication";
                chain.append(t.toString().replaceAll("\\s+", " ")).append(" / ");
            }
            return chain.toString();
        }
    }

    static void roundTrip(String[] cell) throws Exception {
        String bootstrap = cell[1], ca = cell[2], keystore = cell[5], mechanism = cell[6], user = cell[7], secret = cell[8], tokenFile = cell[9], topic = cell[10];
        Map<String, Object> common = new HashMap<>();
        common.put("bootstrap.servers", bootstrap);
        common.put("security.protocol", "SASL_SSL");
        common.put("ssl.truststore.type", "PEM");
        common.put("ssl.truststore.location", ca);
        if (!keystore.isEmpty()) {
            common.put("ssl.keystore.type", "PEM");
            common.put("ssl.keystore.location", keystore);
        }
        common.put("sasl.mechanism", mechanism);
        String modules = "org.apache.kafka.common.security.";
        switch (mechanism) {
            case "OAUTHBEARER":
                common.put("sasl.oauthbearer.token.endpoint.url", Path.of(tokenFile).toUri().toString());
                common.put("sasl.login.callback.handler.class", modules + "oauthbearer.OAuthBearerLoginCallbackHandler");
                common.put("sasl.jaas.config", modules + "oauthbearer.OAuthBearerLoginModule required;");
                break;
            case "PLAIN":
                common.put("sasl.jaas.config", modules + "plain.PlainLoginModule required username=\"" + user + "\" password=\"" + secret + "\";");
                break;
            default:
                common.put("sasl.jaas.config", modules + "scram.ScramLoginModule required username=\"" + user + "\" password=\"" + secret + "\";");
        }
        Map<String, Object> producing = new HashMap<>(common);
        producing.put("max.block.ms", 20000);
        producing.put("delivery.timeout.ms", 20000);
        producing.put("request.timeout.ms", 10000);
        producing.put("linger.ms", 0);
        RecordMetadata at;
        try (Producer<String, String> producer = new KafkaProducer<>(producing, new StringSerializer(), new StringSerializer())) {
            at = producer.send(new ProducerRecord<>(topic, 0, null, cell[0])).get();
        }
        TopicPartition tp = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(common, new StringDeserializer(), new StringDeserializer())) {
            consumer.assign(List.of(tp));
            consumer.seek(tp, at.offset());
            for (long deadline = System.nanoTime() + 20_000_000_000L; System.nanoTime() < deadline; ) {
                for (var record : consumer.poll(Duration.ofMillis(500))) {
                    if (record.offset() == at.offset()) {
                        if (!record.value().equals(cell[0])) throw new IllegalStateException("read " + record.value());
                        return;
                    }
                }
            }
        }
        throw new IllegalStateException("nothing was read");
    }
}
