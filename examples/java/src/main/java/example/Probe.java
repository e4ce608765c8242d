package example;

import bartizan.BartizanException;
import bartizan.Config;
import bartizan.Identity;
import bartizan.Server;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Executors;
import sun.misc.Signal;
import sun.misc.SignalHandler;

/** The probe's command line, its start and its end; what it answers is Routes. */
public final class Probe {
    private static final class Refused extends Exception {
        private static final long serialVersionUID = 1;

        Refused(String why) {
            super(why);
        }
    }

    private static final class Listener {
        String address;
        String[] names;
    }

    private final List<String[]> settings = new ArrayList<>();
    private final List<Listener> listeners = new ArrayList<>();

    private Probe(String[] args) throws Refused {
        for (int i = 0; i < args.length; i++) {
            var option = args[i];
            var listener = listeners.isEmpty() ? null : listeners.get(listeners.size() - 1);
            if (option.equals("--set")) {
                var pair = value(args, ++i).split("=", 2);
                if (pair.length < 2) {
                    throw new Refused("--set " + pair[0] + ": expected KEY=TEXT");
                }
                settings.add(pair);
            } else if (option.equals("--listen")) {
                listener = new Listener();
                listener.address = value(args, ++i);
                listeners.add(listener);
            } else if (listener != null && option.equals("--plaintext")) {
                listener.names = null;
            } else if (listener != null && option.equals("--self-signed")) {
                listener.names = new String[] {"localhost", "127.0.0.1", "::1"};
            } else if (listener != null && option.startsWith("--self-signed=")) {
                listener.names = option.split("=", 2)[1].split(",");
            } else {
                throw new Refused(option + ": unknown, or without a --listen before it");
            }
        }
        if (listeners.isEmpty()) {
            throw new Refused("--listen is missing");
        }
    }

    private static String value(String[] args, int i) throws Refused {
        if (i == args.length) {
            throw new Refused(args[i - 1] + ": a value is missing");
        }
        return args[i];
    }

    private Server start() throws BartizanException {
        var config = new Config();
        settings.forEach(pair -> config.set(pair[0], pair[1]));
        for (Listener listener : listeners) {
            config.listen(listener.address, listener.names == null ? null : Identity.selfSigned(listener.names));
        }
        return config.start();
    }

    private void run() throws BartizanException {
        var server = start();
        for (String name : List.of("INT", "TERM")) {
            Signal.handle(new Signal(name), signal -> {
                server.shutdown();
                // A second one ends the process at once.
                Signal.handle(signal, SignalHandler.SIG_DFL);
            });
        }
        for (int i = 0; i < listeners.size(); i++) {
            System.out.println("listening " + (listeners.get(i).names == null ? "http://" : "https://") + server.address(i));
        }
        System.out.println("ready");
        var threads = Executors.newCachedThreadPool();
        server.serve(threads, new Routes(server)::route);
        threads.shutdown();
    }

    public static void main(String[] args) {
        try {
            new Probe(args).run();
        } catch (Refused | BartizanException why) {
            System.err.println("probe: " + why.getMessage().replaceAll("\\s+", " "));
            System.exit(2);
        }
    }
}
