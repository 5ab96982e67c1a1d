import java.util.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.coordinator.group.api.assignor.*;
import org.apache.kafka.coordinator.group.assignor.*;
import org.apache.kafka.coordinator.group.modern.*;

/** Reads groups from standard input and prints what Apache Kafka's assignors answer; see oracle_test.go. */
public class Assign {
    record Topics(Map<Uuid, Integer> counts) implements SubscribedTopicDescriber {
        public int numPartitions(Uuid id) { return counts.getOrDefault(id, -1); }
        public Set<String> racksForPartition(Uuid id, int p) { return Set.of(); }
    }

    public static void main(String[] args) {
        Scanner in = new Scanner(new java.io.BufferedInputStream(System.in));
        StringBuilder out = new StringBuilder();
        while (in.hasNext()) {
            ConsumerGroupPartitionAssignor assignor = in.next().equals("range") ? new RangeAssignor() : new UniformAssignor();
            SubscriptionType type = in.nextInt() == 1 ? SubscriptionType.HOMOGENEOUS : SubscriptionType.HETEROGENEOUS;
            Map<Uuid, Integer> counts = new HashMap<>();
            for (int n = in.nextInt(), t = 1; t <= n; t++) counts.put(new Uuid(0, t), in.nextInt());
            Map<String, MemberSubscriptionAndAssignmentImpl> members = new LinkedHashMap<>();
            Map<Uuid, Map<Integer, String>> owners = new HashMap<>();
            for (int n = in.nextInt(); n > 0; n--) {
                String id = in.next(), instance = in.next();
                Set<Uuid> subscribed = new LinkedHashSet<>();
                for (int k = in.nextInt(); k > 0; k--) subscribed.add(new Uuid(0, in.nextInt()));
                Map<Uuid, Set<Integer>> target = new TreeMap<>();
                for (int k = in.nextInt(); k > 0; k--) {
                    Uuid t = new Uuid(0, in.nextInt());
                    int p = in.nextInt();
                    target.computeIfAbsent(t, x -> new TreeSet<>()).add(p);
                    owners.computeIfAbsent(t, x -> new HashMap<>()).put(p, id);
                }
                members.put(id, new MemberSubscriptionAndAssignmentImpl(Optional.empty(),
                    instance.equals("-") ? Optional.empty() : Optional.of(instance), subscribed, new Assignment(target)));
            }
            GroupAssignment got = assignor.assign(new GroupSpecImpl(members, type, owners), new Topics(counts));
            for (String id : members.keySet()) {
                MemberAssignment a = got.members().get(id);
                out.append(id);
                if (a != null) new TreeMap<>(a.partitions()).forEach((t, ps) ->
                    new TreeSet<>(ps).forEach(p -> out.append(' ').append(t.getLeastSignificantBits()).append(':').append(p)));
                out.append('\n');
            }
            out.append("--\n");
        }
        System.out.print(out);
    }
}
