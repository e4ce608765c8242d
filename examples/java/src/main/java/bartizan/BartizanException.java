package bartizan;

import com.sun.jna.ptr.PointerByReference;
import java.io.IOException;

/** A call that failed: its status, such as "E_STATE", and the library's sentence where it has one. */
public final class BartizanException extends IOException {
    private static final long serialVersionUID = 1;

    public final String status;

    BartizanException(int status, String message) {
        super(Abi.bartizan_status_name(status) + (message == null ? "" : ": " + message));
        this.status = Abi.bartizan_status_name(status);
    }

    /** A status of a call about a request: what is below zero is thrown. */
    static int check(int status) throws BartizanException {
        if (status < 0) {
            throw new BartizanException(status, null);
        }
        return status;
    }

    /** A call that says why it failed. */
    interface SetUp {
        int call(PointerByReference why);
    }

    static void setUp(SetUp setUp) throws BartizanException {
        var why = new PointerByReference();
        int status = setUp.call(why);
        if (status < 0) {
            String message = Abi.bartizan_error_message(why.getValue());
            Abi.bartizan_error_free(why.getValue());
            throw new BartizanException(status, message);
        }
    }
}
