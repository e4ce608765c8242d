package example;

import bartizan.Config;
import bartizan.Identity;
import bartizan.Request.Field;
import java.util.List;
import java.util.concurrent.Executors;
import sun.misc.Signal;

/** The smallest server: one address, one answer, and a drain on Ctrl-C. */
public final class Hello {
    public static void main(String[] args) throws Exception {
        var server = new Config()
                .set("handshake_timeout", "10s")
                .listen(args.length > 0 ? args[0] : "127.0.0.1:8443", Identity.selfSigned("localhost", "127.0.0.1", "::1"))
                .start();
        for (String name : List.of("INT", "TERM")) {
            Signal.handle(new Signal(name), signal -> server.shutdown());
        }
        System.out.println("curl --insecure https://" + server.address(0) + "/");

        var threads = Executors.newFixedThreadPool(4);
        server.serve(threads, request -> {
            request.respond(200, List.of(new Field("content-type", "text/plain")), "Hello, World!\n".getBytes());
            return null;
        });
        threads.shutdown();
    }
}
