import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Iterator;
import org.apache.inlong.common.msg.InLongMsg;

/**
 * Reads values of the queue with InLong's own InLongMsg: one in base64 per line of standard input. For each
 * attribute string in a value it prints a line with tabs between: the number of the value, the attribute
 * string, the count, and then each record, texts and records in base64.
 */
public class ReadPacks {
    public static void main(String[] args) throws Exception {
        Base64.Encoder base64 = Base64.getEncoder();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        int number = 0;
        for (String line = in.readLine(); line != null; line = in.readLine(), number++) {
            InLongMsg msg = InLongMsg.parseFrom(Base64.getDecoder().decode(line));
            for (String attr : msg.getAttrs()) {
                StringBuilder text = new StringBuilder();
                text.append(number).append('\t');
                text.append(base64.encodeToString(attr.getBytes(StandardCharsets.UTF_8))).append('\t');
                text.append(msg.getMsgCnt());
                Iterator<byte[]> records = msg.getIterator(attr);
                while (records != null && records.hasNext()) {
                    text.append('\t').append(base64.encodeToString(records.next()));
                }
                out.println(text);
            }
        }
        out.flush();
    }
}
