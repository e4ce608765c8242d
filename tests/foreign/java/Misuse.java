import bartizan.BartizanException;
import bartizan.Config;
import bartizan.Identity;
import bartizan.Request;
import bartizan.Request.Field;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import sun.misc.Signal;

/**
 * Everything that a Java program can do wrong with a request, one route each. What went wrong is told on stdout as
 * "WHAT TYPE: MESSAGE"; the suite compares.
 */
public final class Misuse {
    private interface Call {
        void run() throws Exception;
    }

    private static void tell(String what, Call call) throws Exception {
        try {
            call.run();
            System.out.println(what + " nothing: no error");
        } catch (BartizanException error) {
            System.out.println(what + " " + error.getClass().getName() + ": " + error.getMessage());
        }
    }

    private static void say(Request request, String content) throws BartizanException {
        request.respond(200, List.of(), content.getBytes());
    }

    private static CompletionStage<?> route(Request request) throws Exception {
        switch (request.path) {
            case "/twice" -> {
                say(request, "first");
                tell("twice", () -> say(request, "second"));
            }
            case "/throw" -> throw new IllegalStateException("thrown on purpose");
            case "/throw-later" -> {
                return CompletableFuture.failedFuture(new IllegalStateException("thrown later"));
            }
            case "/forget" -> {}
            case "/stale" -> {
                say(request, "first");
                CompletableFuture.delayedExecutor(50, TimeUnit.MILLISECONDS).execute(() -> {
                    try {
                        tell("stale", () -> say(request, "second"));
                        tell("stale-read", () -> request.body().read());
                    } catch (Exception error) {
                        error.printStackTrace();
                    }
                });
            }
            case "/inject" -> {
                var field = new Field("x-a", "b\r\nx-injected: c");
                tell("inject", () -> request.respond(200, List.of(field), new byte[0]));
                say(request, "well");
            }
            case "/behind" -> {
                var answer = request.begin(200, List.of(), 5);
                answer.write("first".getBytes());
                request.finish();
                tell("behind", () -> answer.write("second".getBytes()));
            }
            case "/configure" -> {
                tell("key", () -> new Config().set("handshake_timeot", "2s").start());
                tell("value", () -> new Config().set("handshake_timeout", "soon").start());
                tell("address", () -> new Config().listen("nowhere", null).start());
                tell("nothing", () -> new Config().start());
                say(request, "well");
            }
            case "/hang" -> {
                return request.gone;
            }
            case "/exit" -> System.exit(7);
            default -> say(request, "well");
        }
        return null;
    }

    public static void main(String[] args) throws Exception {
        var server = new Config()
                .listen("127.0.0.1:0", null)
                .listen("127.0.0.1:0", Identity.selfSigned("localhost"))
                .start();
        Signal.handle(new Signal("TERM"), signal -> server.shutdown());
        System.out.printf("listening http://%s%nlistening https://%s%nready%n", server.address(0), server.address(1));
        var threads = Executors.newCachedThreadPool();
        server.serve(threads, Misuse::route);

        // Behind the end.
        server.shutdown();
        server.serve(threads, Misuse::route);
        System.out.println("ended " + server.address(0) + " " + !server.metrics().isEmpty());
        threads.shutdown();
    }
}
