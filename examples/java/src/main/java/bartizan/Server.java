package bartizan;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.jna.Memory;
import com.sun.jna.Pointer;
import com.sun.jna.ptr.LongByReference;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.util.Map;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executor;

/** A running server. Any thread. */
public final class Server {
    private static final Cleaner CLEANER = Cleaner.create();

    /** A burst of requests costs one call. */
    private static final int BATCH = 64;

    private static final int KIND = Abi.EVENT.at("kind");
    private static final int REQUEST = Abi.EVENT.at("request");
    private static final int DATA = Abi.EVENT.at("data");
    private static final int ARG = Abi.EVENT.at("arg");

    private final Pointer server;
    private final Pointer queue;
    private final Map<Long, Request> requests = new ConcurrentHashMap<>();

    /** Answers a request: before it returns (null), or when the stage that it returns completes. */
    public interface Handler {
        CompletionStage<?> handle(Request request) throws Exception;
    }

    Server(Pointer server, Pointer queue) {
        this.server = server;
        this.queue = queue;
        // With the last reference, not with the end: `metrics` and `shutdown` are harmless behind it.
        CLEANER.register(this, () -> {
            Abi.bartizan_server_free(server);
            Abi.bartizan_queue_free(queue);
        });
    }

    /** The address of a listener, with the port that the system chose. */
    public String address(int listener) throws BartizanException {
        return reply((buffer, length) -> Abi.bartizan_server_address(server, listener, buffer, buffer.length, length));
    }

    /** The OpenMetrics text. */
    public String metrics() throws BartizanException {
        return reply((buffer, length) -> Abi.bartizan_server_metrics_text(server, buffer, buffer.length, length));
    }

    private interface Reply {
        int ask(byte[] buffer, LongByReference length);
    }

    /** Asks again with more room while there is too little. */
    private String reply(Reply reply) throws BartizanException {
        var length = new LongByReference();
        for (int room = 1024; ; room = (int) (length.getValue() * 5 / 4) + 1) {
            var buffer = new byte[room];
            int status = reply.ask(buffer, length);
            Reference.reachabilityFence(this);
            if (status != Abi.BARTIZAN_E_LIMIT) {
                BartizanException.check(status);
                return new String(buffer, 0, (int) length.getValue(), UTF_8);
            }
        }
    }

    /** Accepts nothing new; what is under way completes within drain_timeout. Then {@link #serve} returns. */
    public void shutdown() {
        Abi.bartizan_server_shutdown(server, -1);
        Reference.reachabilityFence(this);
    }

    /**
     * Takes events on the calling thread and runs the handler on the executor, until the server was shut down and is drained.
     * Once. Handlers may block, so the executor's threads, or the setting max_running_handlers, bound how many do.
     */
    public void serve(Executor executor, Handler handler) {
        var count = new LongByReference();
        try (var events = new Memory((long) BATCH * Abi.EVENT.size())) {
            while (Abi.bartizan_queue_next(queue, events, BATCH, -1, count) >= 0) {
                for (long i = 0; i < count.getValue(); i++) {
                    take(events.share(i * Abi.EVENT.size()), executor, handler);
                }
            }
        }
        Abi.bartizan_server_wait(server, -1);
        Reference.reachabilityFence(this);
    }

    private void take(Pointer event, Executor executor, Handler handler) {
        int kind = event.getInt(KIND);
        if (kind == Abi.BARTIZAN_EV_REQUEST) {
            var asked = new Request(event.getPointer(DATA));
            requests.put(asked.id, asked);
            executor.execute(() -> run(asked, handler));
            return;
        }
        var request = requests.get(event.getLong(REQUEST));
        if (request != null && kind == Abi.BARTIZAN_EV_CANCELLED) {
            request.gone.complete(Abi.bartizan_reason_name((int) event.getLong(ARG)));
        } else if (request != null && kind == Abi.BARTIZAN_EV_DONE) {
            request.over.complete(null);
        }
    }

    /** Whatever becomes of the handler, its request is released: without an answer that is a 500. */
    private void run(Request request, Handler handler) {
        CompletionStage<?> later = null;
        try {
            later = handler.handle(request);
        } catch (Throwable error) {
            report(request, error);
        }
        if (later == null) {
            release(request);
        } else {
            later.whenComplete((answered, error) -> {
                if (error != null) {
                    report(request, error);
                }
                release(request);
            });
        }
    }

    private void release(Request request) {
        requests.remove(request.id);
        Abi.bartizan_request_release(request.id);
    }

    private static void report(Request request, Throwable error) {
        System.Logger log = System.getLogger("bartizan");
        log.log(System.Logger.Level.ERROR, "handler of " + request.path + " failed", error);
    }
}
