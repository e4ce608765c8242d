//! The yardstick: a bare hyper server over tokio-rustls with no limit and no timer of any kind.
//!
//! It does what ours does at the same settings that cost time (runtime, allocator, groups, tickets, TCP_NODELAY),
//! and nothing for safety. Not a server to deploy: any silent peer holds it for ever.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider, kx_group};
use rustls_pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let result = runtime.map_err(Into::into).and_then(|runtime| {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, serve())
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("yardstick: {error}");
            ExitCode::from(2)
        }
    }
}

/// Accepts until SIGTERM.
async fn serve() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => SocketAddr::from(([127, 0, 0, 1], 0)),
        (Some("--listen"), Some(address)) => address.parse()?,
        _ => return Err("usage: yardstick [--listen ADDRESS]".into()),
    };
    let tls = TlsAcceptor::from(Arc::new(tls_config()?));
    let listener = TcpListener::bind(address).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    println!("listening https://{}\nready", listener.local_addr()?);
    tokio::task::spawn_local(async move {
        // The base has no accept back-off either: out of descriptors it ends, and so does the run.
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(connection(stream, tls.clone()));
        }
    });
    terminate.recv().await;
    Ok(())
}

/// The same identity, groups and tickets as the default policy of ours.
fn tls_config() -> Result<ServerConfig, Box<dyn Error>> {
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let certificate = rcgen::CertificateParams::new(names)?.self_signed(&key)?;
    let provider = CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        ..default_provider()
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config.ticketer = Ticketer::new()?;
    config.send_tls13_tickets = 1;
    Ok(config)
}

/// One connection. Errors are the peer's and nobody asks for them.
async fn connection(stream: TcpStream, tls: TlsAcceptor) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let Ok(stream) = tls.accept(stream).await else { return };
    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = TokioIo::new(stream);
    let _ = if h2 {
        http2::Builder::new(LocalExecutor).serve_connection(stream, service_fn(hello)).await
    } else {
        http1::Builder::new().serve_connection(stream, service_fn(hello)).await
    };
}

async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() != "/" {
        let mut response = Response::new(Full::default());
        *response.status_mut() = StatusCode::NOT_FOUND;
        return Ok(response);
    }
    let mut response = Response::new(Full::new(Bytes::from_static(b"Hello, World!")));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// Streams run on the connection's own thread, like ours.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F: Future<Output = ()> + 'static> Executor<F> for LocalExecutor {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
