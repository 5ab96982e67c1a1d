// Writes golden record batches with Apache Kafka's own classes, and reads batches that Weir wrote. Run with
//
//   java -cp "$KAFKA/libs/*" Golden.java write golden
//   java -cp "$KAFKA/libs/*" Golden.java check DIR
import java.io.*;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import org.apache.kafka.common.compress.*;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;
import org.apache.kafka.common.record.internal.Record;

public class Golden {
    static byte[] bytes(String s) { return s.getBytes(StandardCharsets.UTF_8); }

    static void fill(MemoryRecordsBuilder b, int n) {
        for (int i = 0; i < n; i++) {
            byte[] key = i % 3 == 0 ? null : bytes("key-" + i);
            byte[] value = i % 7 == 6 ? null : bytes(("value-" + i + " ").repeat(i % 50));
            Header[] headers = i % 5 == 0
                ? new Header[] {new RecordHeader("h", (byte[]) null), new RecordHeader("trace", bytes("" + i))}
                : new Header[0];
            b.append(1_700_000_000_000L + (i % 11) * 1000L, key, value, headers);
        }
    }

    static void write(Path dir, String name, Compression c, TimestampType type, int n, long pid, boolean tx) throws IOException {
        ByteBuffer buf = ByteBuffer.allocate(1 << 22);
        MemoryRecordsBuilder b = new MemoryRecordsBuilder(buf, RecordBatch.MAGIC_VALUE_V2, c, type, 0L,
            type == TimestampType.LOG_APPEND_TIME ? 1_800_000_000_000L : RecordBatch.NO_TIMESTAMP,
            pid, pid < 0 ? (short) -1 : (short) 3, pid < 0 ? -1 : 17, tx, false, 0, 1 << 22);
        fill(b, n);
        save(dir, name, b.build());
    }

    static void save(Path dir, String name, MemoryRecords r) throws IOException {
        ByteBuffer p = r.buffer().duplicate();
        byte[] out = new byte[p.remaining()];
        p.get(out);
        Files.write(dir.resolve(name + ".batch"), out);
    }

    public static void main(String[] args) throws Exception {
        Path dir = Paths.get(args[1]);
        if (args[0].equals("write")) {
            TimestampType create = TimestampType.CREATE_TIME;
            Map<String, Compression> all = new LinkedHashMap<>();
            all.put("none", Compression.NONE);
            all.put("gzip", Compression.gzip().build());
            all.put("snappy", Compression.snappy().build());
            all.put("lz4", Compression.lz4().build());
            all.put("zstd", Compression.zstd().build());
            for (Map.Entry<String, Compression> e : all.entrySet()) {
                write(dir, e.getKey() + "-20", e.getValue(), create, 20, -1, false);
                write(dir, e.getKey() + "-1000", e.getValue(), create, 1000, -1, false);
            }
            write(dir, "gzip9-100", Compression.gzip().level(9).build(), create, 100, -1, false);
            write(dir, "lz4hc-100", Compression.lz4().level(17).build(), create, 100, -1, false);
            write(dir, "zstd22-1000", Compression.zstd().level(22).build(), create, 1000, -1, false);
            write(dir, "idempotent-20", Compression.lz4().build(), create, 20, 42, false);
            write(dir, "transactional-20", Compression.NONE, create, 20, 42, true);
            write(dir, "appendtime-20", Compression.zstd().build(), TimestampType.LOG_APPEND_TIME, 20, -1, false);
            save(dir, "commit", MemoryRecords.withEndTransactionMarker(7L, 1_700_000_000_000L, 5, 42L, (short) 3,
                new EndTransactionMarker(ControlRecordType.COMMIT, 9)));
            save(dir, "abort", MemoryRecords.withEndTransactionMarker(7L, 1_700_000_000_000L, 5, 42L, (short) 3,
                new EndTransactionMarker(ControlRecordType.ABORT, 9)));
            return;
        }
        int files = 0;
        try (DirectoryStream<Path> list = Files.newDirectoryStream(dir, "*.batch")) {
            for (Path f : list) {
                MemoryRecords r = MemoryRecords.readableRecords(ByteBuffer.wrap(Files.readAllBytes(f)));
                for (MutableRecordBatch batch : r.batches()) {
                    batch.ensureValid();
                    int i = 0;
                    for (Record rec : batch) {
                        rec.ensureValid();
                        String key = rec.hasKey() ? StandardCharsets.UTF_8.decode(rec.key()).toString() : null;
                        String value = rec.hasValue() ? StandardCharsets.UTF_8.decode(rec.value()).toString() : null;
                        String wantKey = i % 3 == 0 ? null : "key-" + i;
                        String wantValue = i % 7 == 6 ? null : ("value-" + i + " ").repeat(i % 50);
                        if (rec.offset() != i || !Objects.equals(key, wantKey) || !Objects.equals(value, wantValue)
                            || rec.headers().length != (i % 5 == 0 ? 2 : 0) || rec.timestamp() != 1_700_000_000_000L + (i % 11) * 1000L)
                            throw new IllegalStateException(f + ": record " + i + " differs");
                        i++;
                    }
                    if (i != batch.countOrNull()) throw new IllegalStateException(f + ": " + i + " records");
                }
                files++;
            }
        }
        System.out.println(files + " files read");
    }
}
