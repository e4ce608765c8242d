package bartizan;

import com.sun.jna.Library;
import com.sun.jna.Native;
import com.sun.jna.NativeLibrary;
import com.sun.jna.Pointer;
import com.sun.jna.Structure;
import com.sun.jna.Structure.FieldOrder;
import com.sun.jna.ptr.LongByReference;
import com.sun.jna.ptr.PointerByReference;
import java.util.Map;

/**
 * The C ABI as JNA sees it: structures, prototypes and numbers under their names in bartizan.h, whose words apply. Only what a
 * program that drains a queue needs stands here; what makes it Java are the other classes of this package. size_t is a long: on
 * 64 bits.
 */
final class Abi {
    static final int ABI = 0;

    static final int BARTIZAN_EOF = 1;
    static final int BARTIZAN_E_HANDLE = -5;
    static final int BARTIZAN_E_CLOSED = -10;
    static final int BARTIZAN_E_LIMIT = -12;
    static final int BARTIZAN_EV_REQUEST = 1;
    static final int BARTIZAN_EV_CANCELLED = 4;
    static final int BARTIZAN_EV_DONE = 5;

    /** Structures are read where they lie, by offset: to copy each whole would cost more than the request. */
    abstract static class Layout extends Structure {
        int at(String field) {
            return fieldOffset(field);
        }
    }

    @FieldOrder({"ptr", "len"})
    public static class bartizan_str extends Layout {
        public Pointer ptr;
        public long len;
    }

    @FieldOrder({"name", "value"})
    public static class bartizan_header extends Layout {
        public bartizan_str name, value;
    }

    @FieldOrder({
        "struct_size", "version", "cipher_suite", "group", "version_name", "suite_name", "group_name", "server_name", "alpn",
        "resumed", "peer_certificates"
    })
    public static class bartizan_tls_info extends Layout {
        public int struct_size, version, cipher_suite, group;
        public bartizan_str version_name, suite_name, group_name, server_name, alpn;
        public int resumed, peer_certificates;
    }

    @FieldOrder({
        "struct_size", "flags", "request", "connection", "http_version", "listener", "method", "scheme", "authority", "target",
        "path", "query", "peer_ip", "local_ip", "peer_port", "local_port", "headers", "header_count", "header_block",
        "content_length", "body", "tls", "stream", "reserved"
    })
    public static class bartizan_request_view extends Layout {
        public int struct_size, flags;
        public long request, connection;
        public int http_version, listener;
        public bartizan_str method, scheme, authority, target, path, query, peer_ip, local_ip;
        public int peer_port, local_port;
        public Pointer headers;
        public long header_count;
        public bartizan_str header_block;
        public long content_length;
        public bartizan_str body;
        public Pointer tls;
        public int stream, reserved;
    }

    @FieldOrder({"kind", "status", "request", "connection", "tag", "data", "arg"})
    public static class bartizan_event extends Layout {
        public int kind, status;
        public long request, connection, tag;
        public Pointer data;
        public long[] arg = new long[3];
    }

    static final Layout STR = new bartizan_str();
    static final Layout HEADER = new bartizan_header();
    static final Layout TLS_INFO = new bartizan_tls_info();
    static final Layout VIEW = new bartizan_request_view();
    static final Layout EVENT = new bartizan_event();

    static {
        Native.register(Abi.class, NativeLibrary.getInstance("libbartizan.so.0", Map.of(Library.OPTION_STRING_ENCODING, "UTF-8")));
    }

    private Abi() {}

    static native int bartizan_abi_check(int abi);
    static native String bartizan_status_name(int status);
    static native String bartizan_reason_name(int reason);
    static native String bartizan_error_message(Pointer error);
    static native void bartizan_error_free(Pointer error);
    static native Pointer bartizan_config_new();
    static native void bartizan_config_free(Pointer config);
    static native int bartizan_config_set_text(Pointer config, String key, byte[] text, long len, PointerByReference err);
    static native int bartizan_config_listen(Pointer config, String address, Pointer tls, Pointer listener, PointerByReference err);
    static native int bartizan_config_queue(Pointer config, Pointer queue, long mask, PointerByReference err);
    static native int bartizan_identity_from_pem(
            byte[] chain, long chainLen, byte[] key, long keyLen, PointerByReference out, PointerByReference err);
    static native int bartizan_identity_self_signed(byte[] names, long len, PointerByReference out, PointerByReference err);
    static native void bartizan_identity_free(Pointer identity);
    static native Pointer bartizan_tls_new();
    static native void bartizan_tls_free(Pointer tls);
    static native int bartizan_tls_identity(Pointer tls, String name, Pointer identity, PointerByReference err);
    static native int bartizan_queue_new(PointerByReference out, PointerByReference err);
    static native int bartizan_queue_next(Pointer queue, Pointer events, long max, long timeout, LongByReference n);
    static native void bartizan_queue_free(Pointer queue);
    static native int bartizan_server_start(Pointer config, PointerByReference out, PointerByReference err);
    static native int bartizan_server_address(Pointer server, int listener, byte[] buf, long cap, LongByReference len);
    static native int bartizan_server_metrics_text(Pointer server, byte[] buf, long cap, LongByReference len);
    static native int bartizan_server_shutdown(Pointer server, long grace);
    static native int bartizan_server_wait(Pointer server, long timeout);
    static native void bartizan_server_free(Pointer server);
    static native int bartizan_request_set_text(long request, String key, byte[] text, long len);
    static native int bartizan_request_release(long request);
    static native int bartizan_body_read(long request, byte[] buf, long cap, long timeout, LongByReference n);
    static native int bartizan_body_trailers(long request, PointerByReference trailers, LongByReference n);
    static native int bartizan_respond(long request, int code, Pointer headers, long count, byte[] body, long len);
    static native int bartizan_response_begin(long request, int code, Pointer headers, long count, long contentLength);
    static native int bartizan_response_write(long request, byte[] buf, long len, long timeout, LongByReference accepted);
    static native int bartizan_response_finish(long request, Pointer trailers, long count);
}
