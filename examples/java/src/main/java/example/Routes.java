package example;

import static java.nio.charset.StandardCharsets.UTF_8;

import bartizan.BartizanException;
import bartizan.Request;
import bartizan.Request.Field;
import bartizan.Server;
import java.io.IOException;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** The routes of the probe contract that show a queue: whole answers, streams both ways, time, cancellation. */
final class Routes {
    private static final byte[] HELLO = "Hello, World!".getBytes(UTF_8);
    private static final int PIECE = 64 * 1024;

    private final Server server;

    Routes(Server server) {
        this.server = server;
    }

    /** A value of the target that does not parse: 400, with the reason. */
    private static final class BadValue extends Exception {
        private static final long serialVersionUID = 1;

        BadValue(String value, String why) {
            super(value + ": " + why + "\n");
        }
    }

    CompletionStage<?> route(Request request) throws Exception {
        try {
            return answer(request);
        } catch (BadValue why) {
            text(request, 400, why.getMessage().getBytes(UTF_8));
        } catch (BartizanException error) {
            // When the exchange is over, the library has said why.
            if (!error.status.equals("E_CANCELLED")) {
                throw error;
            }
        }
        return null;
    }

    private CompletionStage<?> answer(Request request) throws BadValue, IOException, GeneralSecurityException {
        var path = request.path;
        boolean get = request.method.equals("GET") || request.method.equals("HEAD");
        if (path.equals("/inspect")) {
            inspect(request);
        } else if (path.equals("/echo")) {
            echo(request);
        } else if (path.equals("/") && get) {
            text(request, 200, HELLO);
        } else if (path.startsWith("/bytes/") && get) {
            long count = number(path.substring(7), Long.MAX_VALUE);
            setLimits(request);
            zeros(request, count);
        } else if (path.startsWith("/wait/") && get) {
            return after(number(path.substring(6), Integer.MAX_VALUE), request);
        } else if (path.equals("/hang") && get) {
            return request.gone;
        } else if (path.equals("/metrics") && get) {
            var metrics = type("application/openmetrics-text; version=1.0.0; charset=utf-8");
            request.respond(200, metrics, server.metrics().getBytes(UTF_8));
        } else {
            text(request, 404, "not found\n".getBytes(UTF_8));
        }
        return null;
    }

    private static List<Field> type(String value) {
        return List.of(new Field("content-type", value));
    }

    private static void text(Request request, int code, byte[] content) throws BartizanException {
        request.respond(code, type("text/plain"), content);
    }

    private static long number(String text, long most) throws BadValue {
        if (text.matches("[0-9]{1,19}") && Long.compareUnsigned(Long.parseUnsignedLong(text), most) <= 0) {
            return Long.parseLong(text);
        }
        throw new BadValue(text, "not a number from 0 to " + most);
    }

    /** KEY=TEXT of the query sets a limit of this request. */
    private static void setLimits(Request request) throws BadValue {
        for (String piece : request.query.split("&")) {
            var pair = piece.split("=", 2);
            if (pair.length < 2 && !piece.isEmpty()) {
                throw new BadValue(piece, "not KEY=TEXT");
            }
            try {
                if (!piece.isEmpty()) {
                    request.set(pair[0], pair[1]);
                }
            } catch (BartizanException error) {
                throw new BadValue(piece, error.getMessage());
            }
        }
    }

    private static CompletionStage<?> after(long millis, Request request) {
        var due = new CompletableFuture<Void>().completeOnTimeout(null, millis, TimeUnit.MILLISECONDS);
        return CompletableFuture.anyOf(due, request.over).thenRun(() -> {
            try {
                text(request, 200, HELLO);
            } catch (BartizanException error) {
                if (!error.status.equals("E_CANCELLED")) {
                    throw new CompletionException(error);
                }
            }
        });
    }

    private static void inspect(Request request) throws IOException, GeneralSecurityException {
        var digest = MessageDigest.getInstance("SHA-256");
        var piece = new byte[PIECE];
        var body = request.body();
        long length = 0;
        for (int n; (n = body.read(piece)) >= 0; length += n) {
            digest.update(piece, 0, n);
        }
        var seen = new LinkedHashMap<String, Object>();
        seen.put("method", request.method);
        seen.put("scheme", request.scheme);
        seen.put("authority", request.authority);
        seen.put("target", request.target);
        seen.put("path", request.path);
        seen.put("query", request.query);
        seen.put("http", request.httpVersion == 20 ? "2" : request.httpVersion == 11 ? "1.1" : "1.0");
        seen.put("headers", pairs(request.fields));
        seen.put("trailers", pairs(request.trailers()));
        seen.put("body", Map.of("length", length, "sha256", HexFormat.of().formatHex(digest.digest())));
        seen.put("peer", request.peer);
        seen.put("local", request.local);
        seen.put("listener", request.listener);
        seen.put("conn", request.connection);
        seen.put("tls", request.tls == null ? null : tls(request.tls));
        request.respond(200, type("application/json"), json(seen).getBytes(UTF_8));
    }

    private static List<List<String>> pairs(List<Field> fields) {
        return fields.stream().map(field -> List.of(field.name(), field.value())).toList();
    }

    private static Map<String, Object> tls(Request.Tls tls) {
        Map<String, Object> seen = new LinkedHashMap<>(Map.of("version", tls.version(), "suite", tls.suite(), "group", tls.group(),
                "resumed", tls.resumed(), "peer_certificates", tls.peerCertificates()));
        seen.put("server_name", tls.serverName());
        seen.put("alpn", tls.alpn());
        return seen;
    }

    private static String json(Object value) {
        if (value instanceof Map<?, ?> map) {
            return map.entrySet().stream().map(entry -> json(entry.getKey()) + ":" + json(entry.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        if (value instanceof List<?> list) {
            return list.stream().map(Routes::json).collect(Collectors.joining(",", "[", "]"));
        }
        return value instanceof String text ? quoted(text) : String.valueOf(value);
    }

    private static String quoted(String text) {
        Stream<String> characters = text.chars().mapToObj(c ->
                c == '"' || c == '\\' ? "\\" + (char) c : c < ' ' ? String.format("\\u%04x", c) : String.valueOf((char) c));
        return characters.collect(Collectors.joining("", "\"", "\""));
    }

    private static void echo(Request request) throws IOException {
        // The answer begins with the first content, not before: until then a 408 or 413 can still be sent.
        var piece = new byte[PIECE];
        var body = request.body();
        int n = body.read(piece);
        var answer = request.begin(200, type("application/octet-stream"), request.contentLength);
        for (; n >= 0; n = body.read(piece)) {
            answer.write(piece, 0, n);
        }
        request.finish();
    }

    private static void zeros(Request request, long count) throws IOException {
        var piece = new byte[PIECE];
        var answer = request.begin(200, type("application/octet-stream"), count);
        for (long left = count; left > 0; left -= PIECE) {
            answer.write(piece, 0, (int) Math.min(left, PIECE));
        }
        request.finish();
    }
}
