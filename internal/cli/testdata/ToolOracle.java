import java.io.*;
import java.lang.reflect.*;
import java.nio.charset.StandardCharsets;
import java.util.*;

/**
 * Runs the main methods of Apache Kafka's tools, one after the other, in one JVM. Each line of stdin is one run: the
 * class name and its arguments, separated by tabs. For each it prints the exit status and the lengths of what the
 * run wrote to stdout and stderr, then these bytes. An uncaught exception is printed as the JVM would, exit status 1.
 */
public class ToolOracle {
    static class ExitCalled extends RuntimeException {
        final int status;
        ExitCalled(int status) { super(null, null, false, false); this.status = status; }
    }

    public static void main(String[] args) throws Exception {
        PrintStream real = System.out;
        PrintStream realErr = System.err;
        org.apache.kafka.common.utils.Exit.Procedure p = (status, message) -> { throw new ExitCalled(status); };
        org.apache.kafka.common.utils.Exit.setExitProcedure(p);
        org.apache.kafka.common.utils.Exit.setHaltProcedure(p);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line; (line = in.readLine()) != null; ) {
            String[] words = line.split("\t", -1);
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            ByteArrayOutputStream err = new ByteArrayOutputStream();
            PrintStream outStream = new PrintStream(out, true, "UTF-8");
            PrintStream errStream = new PrintStream(err, true, "UTF-8");
            System.setOut(outStream);
            System.setErr(errStream);
            int status = 0;
            try {
                Class.forName(words[0]).getMethod("main", String[].class)
                    .invoke(null, (Object) Arrays.copyOfRange(words, 1, words.length));
            } catch (InvocationTargetException e) {
                Throwable t = e.getCause();
                while (t.getCause() instanceof ExitCalled) t = t.getCause();
                if (t instanceof ExitCalled) {
                    status = ((ExitCalled) t).status;
                } else {
                    status = 1;
                    System.err.print("Exception in thread \"main\" ");
                    t.printStackTrace();
                }
            }
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
}
