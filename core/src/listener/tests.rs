//! What the kernel is told about a listening socket, and what an accepted one has of it.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};

use super::*;

fn listening(settings: &[(&str, &str)]) -> TcpListener {
    let mut own = Settings::default();
    for (key, text) in settings {
        own.set_text(key, text).unwrap();
    }
    let bound = bind(&Bind::Tcp("127.0.0.1:0".parse().unwrap()), &own.effective()).unwrap();
    TcpListener::from(bound.socket)
}

/// The far end, and what the server would be given.
fn accepted(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    loop {
        match listener.accept() {
            Ok((socket, _)) => return (peer, socket),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

#[test]
fn accepted_sockets_are_probed_and_bounded_as_the_settings_say() {
    let settings =
        [("tcp_keepalive_idle", "7s"), ("tcp_keepalive_interval", "3s"), ("tcp_keepalive_probes", "4")];
    let (_peer, socket) = accepted(&listening(&settings));
    assert!(sockopt::socket_keepalive(&socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(7));
    assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(3));
    assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 4);
    assert!(sockopt::tcp_nodelay(&socket).unwrap());
    assert_eq!(socket2::SockRef::from(&socket).tcp_notsent_lowat().unwrap(), UNSENT);
}

#[test]
fn accepted_sockets_are_probed_by_default_and_not_when_it_is_off() {
    let (_peer, socket) = accepted(&listening(&[]));
    assert!(sockopt::socket_keepalive(&socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(15));
    assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 9);
    let (_peer, socket) = accepted(&listening(&[("tcp_keepalive_idle", "off")]));
    assert!(!sockopt::socket_keepalive(&socket).unwrap());
}

#[test]
fn the_kernel_completes_no_more_connections_than_the_backlog() {
    for (backlog, completed) in [("1", 2), ("64", 6)] {
        let listener = listening(&[("backlog", backlog)]);
        let address: SocketAddr = listener.local_addr().unwrap();
        let patience = Duration::from_millis(300);
        let peers: Vec<_> = (0..6).map(|_| TcpStream::connect_timeout(&address, patience)).collect();
        // Linux takes one more than it was told.
        assert_eq!(peers.iter().filter(|peer| peer.is_ok()).count(), completed, "{backlog}");
    }
}

/// A path that no other test uses.
fn unused(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bartizan-{name}-{}", std::process::id()))
}

fn bind_unix(path: &std::path::Path) -> Result<Bound, Error> {
    bind(&Bind::Unix(path.to_owned()), &Settings::default().effective())
}

#[test]
fn a_unix_socket_that_nobody_listens_on_is_taken_over_and_gone_at_the_end() {
    let path = unused("left-behind");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let bound = bind_unix(&path).unwrap();
    assert_eq!(bind_unix(&path).map(|bound| bound.address).unwrap_err().kind(), crate::error::ErrorKind::Io);
    drop(bound);
    assert!(!path.exists());
}

#[test]
fn a_file_that_is_no_socket_stays_where_a_unix_socket_should_be() {
    let path = unused("no-socket");
    std::fs::write(&path, "precious").unwrap();
    assert!(bind_unix(&path).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    std::fs::remove_file(&path).unwrap();
}
