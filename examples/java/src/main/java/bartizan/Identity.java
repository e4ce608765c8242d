package bartizan;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.sun.jna.Pointer;
import com.sun.jna.ptr.PointerByReference;

/** How to make a certificate chain and its key: it becomes the library's when a server starts, so none is left to a collector. */
public interface Identity {
    int make(PointerByReference out, PointerByReference why);

    /** For development: DNS names and IP addresses. */
    static Identity selfSigned(String... names) {
        byte[] list = String.join(",", names).getBytes(UTF_8);
        return (out, why) -> Abi.bartizan_identity_self_signed(list, list.length, out, why);
    }

    /** A chain, the server's own certificate first, and its private key. */
    static Identity fromPem(byte[] chain, byte[] key) {
        return (out, why) -> Abi.bartizan_identity_from_pem(chain, chain.length, key, key.length, out, why);
    }

    /** What a listener presents, as the library's object; the caller frees it. */
    default Pointer tls() throws BartizanException {
        var identity = new PointerByReference();
        BartizanException.setUp(why -> make(identity, why));
        Pointer tls = Abi.bartizan_tls_new();
        try {
            BartizanException.setUp(why -> Abi.bartizan_tls_identity(tls, null, identity.getValue(), why));
            return tls;
        } catch (BartizanException error) {
            Abi.bartizan_tls_free(tls);
            throw error;
        } finally {
            Abi.bartizan_identity_free(identity.getValue());
        }
    }
}
