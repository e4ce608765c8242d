package bartizan;

import static bartizan.BartizanException.setUp;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;
import java.util.ArrayList;
import java.util.List;

/** A server to be. It is plain Java until it starts, which is when the library checks it. */
public final class Config {
    private record Setting(String key, byte[] text) {}

    private record Listener(String address, Identity identity) {}

    private final List<Setting> settings = new ArrayList<>();
    private final List<Listener> listeners = new ArrayList<>();

    /** A setting by its name, in the form for people: "10s", "16KiB", "off". */
    public Config set(String key, String text) {
        settings.add(new Setting(key, text.getBytes(UTF_8)));
        return this;
    }

    /** An address, "127.0.0.1:0" or "unix:/path"; without an identity (null) it speaks cleartext. */
    public Config listen(String address, Identity identity) {
        listeners.add(new Listener(address, identity));
        return this;
    }

    /** Binds the listeners; requests wait until {@link Server#serve} takes them. */
    public Server start() throws BartizanException {
        BartizanException.check(Abi.bartizan_abi_check(Abi.ABI));
        Pointer config = Abi.bartizan_config_new();
        var queue = new PointerByReference();
        var server = new PointerByReference();
        try {
            for (Setting setting : settings) {
                setUp(why -> Abi.bartizan_config_set_text(config, setting.key, setting.text, setting.text.length, why));
            }
            for (Listener listener : listeners) {
                listen(config, listener);
            }
            setUp(why -> Abi.bartizan_queue_new(queue, why));
            setUp(why -> Abi.bartizan_config_queue(config, queue.getValue(), 0, why));
            setUp(why -> Abi.bartizan_server_start(config, server, why));
        } catch (BartizanException error) {
            Abi.bartizan_queue_free(queue.getValue());
            throw error;
        } finally {
            Abi.bartizan_config_free(config);
        }
        return new Server(server.getValue(), queue.getValue());
    }

    private static void listen(Pointer config, Listener listener) throws BartizanException {
        Pointer tls = listener.identity == null ? null : listener.identity.tls();
        try {
            setUp(why -> Abi.bartizan_config_listen(config, listener.address, tls, null, why));
        } finally {
            Abi.bartizan_tls_free(tls);
        }
    }
}
