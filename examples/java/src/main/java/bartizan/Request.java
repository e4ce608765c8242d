package bartizan;

import static bartizan.BartizanException.check;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * One request and its answer. What was asked is copied, so it outlives the handler; calls then throw E_HANDLE. Texts map octets
 * to Latin-1. Any thread, but one reader and one writer at a time.
 */
public final class Request {
    /** A field line of a header or trailer section; names of requests are in lower case. */
    public record Field(String name, String value) {}

    /** What the handshake negotiated; `serverName` and `alpn` are null where the client named none. */
    public record Tls(
            String version, String suite, String group, String serverName, String alpn, boolean resumed, int peerCertificates) {
        private static Tls of(Pointer info) {
            return new Tls(
                    text(info, Abi.TLS_INFO.at("version_name")), text(info, Abi.TLS_INFO.at("suite_name")),
                    text(info, Abi.TLS_INFO.at("group_name")), optional(info, Abi.TLS_INFO.at("server_name")),
                    optional(info, Abi.TLS_INFO.at("alpn")), info.getInt(Abi.TLS_INFO.at("resumed")) != 0,
                    info.getInt(Abi.TLS_INFO.at("peer_certificates")));
        }
    }

    /** Offsets, looked up once. */
    private static final class At {
        static final int REQUEST = Abi.VIEW.at("request"), CONNECTION = Abi.VIEW.at("connection");
        static final int HTTP_VERSION = Abi.VIEW.at("http_version"), LISTENER = Abi.VIEW.at("listener");
        static final int METHOD = Abi.VIEW.at("method"), SCHEME = Abi.VIEW.at("scheme");
        static final int AUTHORITY = Abi.VIEW.at("authority"), TARGET = Abi.VIEW.at("target");
        static final int PATH = Abi.VIEW.at("path"), QUERY = Abi.VIEW.at("query");
        static final int PEER_IP = Abi.VIEW.at("peer_ip"), PEER_PORT = Abi.VIEW.at("peer_port");
        static final int LOCAL_IP = Abi.VIEW.at("local_ip"), LOCAL_PORT = Abi.VIEW.at("local_port");
        static final int HEADERS = Abi.VIEW.at("headers"), HEADER_COUNT = Abi.VIEW.at("header_count");
        static final int CONTENT_LENGTH = Abi.VIEW.at("content_length"), TLS = Abi.VIEW.at("tls");
        static final int LEN = Abi.STR.at("len"), VALUE = Abi.HEADER.at("value");
    }

    public final String method, scheme, authority, target, path, query, peer, local;
    /** 10, 11 or 20. */
    public final int httpVersion;
    public final int listener;
    public final long connection;
    /** -1 = not announced. */
    public final long contentLength;
    public final List<Field> fields;
    /** null on cleartext. */
    public final Tls tls;
    /**
     * Completes when the exchange is cancelled, with the reason; after "peer.closed", which may be half a close, an answer may
     * still go out.
     */
    public final CompletableFuture<String> gone = new CompletableFuture<>();

    /** Completes when the exchange has ended on the network, whoever ended it: what is computed for it now is for nobody. */
    public final CompletableFuture<Void> over = new CompletableFuture<>();

    final long id;

    Request(Pointer view) {
        id = view.getLong(At.REQUEST);
        connection = view.getLong(At.CONNECTION);
        httpVersion = view.getInt(At.HTTP_VERSION);
        listener = view.getInt(At.LISTENER);
        method = text(view, At.METHOD);
        scheme = text(view, At.SCHEME);
        authority = text(view, At.AUTHORITY);
        target = text(view, At.TARGET);
        path = text(view, At.PATH);
        query = text(view, At.QUERY);
        peer = address(text(view, At.PEER_IP), view.getInt(At.PEER_PORT));
        local = address(text(view, At.LOCAL_IP), view.getInt(At.LOCAL_PORT));
        contentLength = view.getLong(At.CONTENT_LENGTH);
        fields = fields(view.getPointer(At.HEADERS), view.getLong(At.HEADER_COUNT));
        Pointer info = view.getPointer(At.TLS);
        tls = info == null ? null : Tls.of(info);
    }

    private static String text(Pointer structure, long at) {
        int length = (int) structure.getLong(at + At.LEN);
        return length == 0 ? "" : new String(structure.getPointer(at).getByteArray(0, length), ISO_8859_1);
    }

    private static String optional(Pointer structure, long at) {
        String text = text(structure, at);
        return text.isEmpty() ? null : text;
    }

    private static String address(String ip, int port) {
        return ip.isEmpty() ? "unix:" : (ip.contains(":") ? "[" + ip + "]" : ip) + ":" + port;
    }

    private static List<Field> fields(Pointer at, long count) {
        var fields = new ArrayList<Field>((int) count);
        for (long i = 0; i < count; i++) {
            long start = i * Abi.HEADER.size();
            fields.add(new Field(text(at, start), text(at, start + At.VALUE)));
        }
        return fields;
    }

    // ---- content ----

    /** The content; reading waits for the peer. */
    public InputStream body() {
        return new Body();
    }

    private final class Body extends InputStream {
        @Override
        public int read() throws BartizanException {
            var one = new byte[1];
            return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
        }

        @Override
        public int read(byte[] into, int start, int length) throws BartizanException {
            if (length == 0) {
                return 0;
            }
            var piece = start == 0 && length == into.length ? into : new byte[length];
            var count = new LongByReference();
            if (check(Abi.bartizan_body_read(id, piece, length, -1, count)) == Abi.BARTIZAN_EOF) {
                return -1;
            }
            int n = (int) count.getValue();
            if (piece != into) {
                System.arraycopy(piece, 0, into, start, n);
            }
            return n;
        }
    }

    /** Once everything is read. */
    public List<Field> trailers() throws BartizanException {
        var at = new PointerByReference();
        var count = new LongByReference();
        check(Abi.bartizan_body_trailers(id, at, count));
        return fields(at.getValue(), count.getValue());
    }

    // ---- the answer ----

    private interface Lent {
        int to(Pointer headers, long count);
    }

    /** Lends fields to a call, which copies them. The memory is closed behind it, so no collector takes it during the call. */
    private static void lend(List<Field> fields, Lent call) throws BartizanException {
        if (fields.isEmpty()) {
            check(call.to(null, 0));
            return;
        }
        long end = (long) fields.size() * Abi.HEADER.size();
        long size = end;
        for (Field field : fields) {
            size += field.name.length() + field.value.length();
        }
        try (var memory = new Memory(size)) {
            long header = 0;
            for (Field field : fields) {
                for (String text : new String[] {field.name, field.value}) {
                    byte[] octets = text.getBytes(ISO_8859_1);
                    memory.setPointer(header, memory.share(end));
                    memory.setLong(header + At.LEN, octets.length);
                    memory.write(end, octets, 0, octets.length);
                    header += Abi.STR.size();
                    end += octets.length;
                }
            }
            check(call.to(memory, fields.size()));
        }
    }

    /** Answers in one piece. */
    public void respond(int code, List<Field> fields, byte[] content) throws BartizanException {
        lend(fields, (headers, count) -> Abi.bartizan_respond(id, code, headers, count, content, content.length));
    }

    /** Begins an answer that is written piece by piece, at the pace of the peer; a length of -1 is unknown. */
    public OutputStream begin(int code, List<Field> fields, long length) throws BartizanException {
        lend(fields, (headers, count) -> Abi.bartizan_response_begin(id, code, headers, count, length));
        return new Answer();
    }

    private final class Answer extends OutputStream {
        @Override
        public void write(int octet) throws BartizanException {
            write(new byte[] {(byte) octet}, 0, 1);
        }

        @Override
        public void write(byte[] content, int start, int length) throws BartizanException {
            var accepted = new LongByReference();
            while (length > 0) {
                byte[] piece = start == 0 ? content : Arrays.copyOfRange(content, start, start + length);
                check(Abi.bartizan_response_write(id, piece, length, -1, accepted));
                start += (int) accepted.getValue();
                length -= (int) accepted.getValue();
            }
        }
    }

    /** Ends an answer that was begun. */
    public void finish(Field... trailers) throws BartizanException {
        lend(List.of(trailers), (headers, count) -> Abi.bartizan_response_finish(id, headers, count));
    }

    /** Moves a limit of this request, in the form for people: "handler_timeout", "1m". */
    public void set(String key, String text) throws BartizanException {
        byte[] octets = text.getBytes(UTF_8);
        check(Abi.bartizan_request_set_text(id, key, octets, octets.length));
    }
}
