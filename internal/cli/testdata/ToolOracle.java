import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.locks.LockSupport;

/**
 * Runs the main methods of Apache Kafka's tools, one after the other, in one JVM. Each line of stdin is one run: the
 * class name and its arguments, separated by tabs; a word "stdin=..." before them is its standard input, with \n and
 * \t for line feeds and tabs. For each it prints the exit status and the lengths of what the run wrote to stdout and
 * stderr, then these bytes. An uncaught exception is printed as the JVM would, exit status 1.
 *
 * A tool that exits must not go on, nor see an exception that it might catch: its thread is parked for good. Its
 * shutdown hooks run then, as they would at the end of a JVM.
 */
public class ToolOracle {
    public static void main(String[] args) throws Exception {
        PrintStream real = System.out;
        PrintStream realErr = System.err;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            String input = "";
            if (words[0].startsWith("stdin=")) {
                input = words[0].substring(6).replace("\\n", "\n").replace("\\t", "\t");
                words = Arrays.copyOfRange(words, 1, words.length);
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            PrintStream outStream = new PrintStream(out, true, "UTF-8");
            PrintStream errStream = new PrintStream(err, true, "UTF-8");
            System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
            System.setOut(outStream);
            System.setErr(errStream);
            int status = run(words);
            outStream.flush();
            errStream.flush();
            System.setOut(real);
            System.setErr(realErr);
            real.println(status + " " + out.size() + " " + err.size());
            real.write(out.toByteArray());
            real.write(err.toByteArray());
            real.flush();
        }
    }

    static int run(String[] words) throws Exception {
        CompletableFuture<Integer> ended = new CompletableFuture<>();
        List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());
        org.apache.kafka.common.utils.Exit.Procedure exit = (status, message) -> {
            ended.complete(status);
            while (true) LockSupport.park();
        };
        org.apache.kafka.common.utils.Exit.setExitProcedure(exit);
        org.apache.kafka.common.utils.Exit.setHaltProcedure(exit);
        org.apache.kafka.common.utils.Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        Thread main = new Thread(() -> {
            try {
                Class.forName(words[0]).getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
                ended.complete(0);
            } catch (InvocationTargetException e) {
                System.err.print("Exception in thread \"main\" ");
                e.getCause().printStackTrace();
                ended.complete(1);
            } catch (ReflectiveOperationException e) {
                e.printStackTrace();
                ended.complete(1);
            }
        }, "main");
        main.setDaemon(true);
        main.start();
        int status = ended.get();
        List<Thread> running = new ArrayList<>();
        for (Runnable hook : hooks) {
            Thread t = new Thread(hook);
            t.setDaemon(true);
            t.start();
            running.add(t);
        }
        for (Thread t : running) t.join(10000);
        return status;
    }
}
