//! HTTPS in fifteen lines: `cargo run --bin hello`, then `curl --insecure https://127.0.0.1:8443/`. Ctrl-C lets what is in
//! flight finish.

use std::sync::Arc;
use std::time::Duration;

use bartizan::tls::{Identity, Tls};
use bartizan::{Body, Config, Dispatch, Listener, Request, Server};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

fn hello(request: Request) {
    let fields: [(&[u8], &[u8]); 1] = [(b"content-type", b"text/plain")];
    // An answer that cannot be sent any more is nobody's loss.
    let _ = request.respond(200, fields, Body::Copied(b"Hello, World!\n"));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8443".to_owned());
    let mut tls = Tls::new();
    tls.identity(None, Identity::self_signed("localhost,127.0.0.1,::1")?)?;
    let listener = Listener::new(address.parse()?, Some(tls));
    let mut config = Config::new(vec![listener], Dispatch::Inline(Arc::new(hello)));
    config.settings.handshake_timeout = Duration::from_secs(10);
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let server = Server::start(&config)?;
    println!("curl --insecure https://{}/", server.address(0).unwrap_or(address));

    signals.forever().next();
    server.shutdown(None);
    server.wait(None)?;
    Ok(())
}
