//! Requests that name a server whose client certificates their connection was never asked for.

use super::h2::{Client, secure};
use super::support::{Host, Setup, identity};
use crate::reason::Reason;
use crate::tls::{ClientAuth, Tls};

/// `localhost` asks nobody, `guarded.example` and the names below it do.
fn guarded(setup: Setup) -> Setup {
    let ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    let mut asking = Tls::new();
    asking.identity(None, identity().clone()).unwrap();
    asking.client_auth(ClientAuth::Required, ca.as_bytes()).unwrap();
    setup.described(|tls| {
        for name in ["guarded.example", "*.guarded.example"] {
            tls.server_name(name, &asking).unwrap();
        }
    })
}

const MISDIRECTED: [&str; 4] =
    ["guarded.example", "Guarded.Example.:443", "a.guarded.example", "guarded.example:8443"];
const FITTING: [&str; 4] = ["localhost", "other.example", "a.b.guarded.example", "192.0.2.1:443"];

#[test]
fn a_name_that_asks_for_certificates_is_not_reached_under_another() {
    for (hosts, status) in [(MISDIRECTED, 421), (FITTING, 200)] {
        for host_field in hosts {
            guarded(Setup::hello().tls()).run(async |host| {
                let mut peer = host.connect().await;
                peer.send(format!("GET / HTTP/1.1\r\nHost: {host_field}\r\n\r\n")).await;
                assert_eq!(peer.answer().await.status, status, "{host_field}");
                told(host, status);
            });
            guarded(secure(Setup::hello())).run(async |host| {
                let mut client = Client::connect(host).await;
                client.requests = client.requests.ready().await.unwrap();
                let request = http::Request::get(format!("https://{host_field}/")).body(()).unwrap();
                let answer = client.requests.send_request(request, true).unwrap().0.await.unwrap();
                assert_eq!(answer.status().as_u16(), status, "{host_field}");
                host.turn().await;
                told(host, status);
            });
        }
    }
}

fn told(host: &Host, status: u16) {
    let expected = if status == 200 { Reason::Complete } else { Reason::HeaderPolicy };
    assert_eq!(host.outcomes(), [(status, expected)]);
}

#[test]
fn who_was_asked_for_the_same_certificates_may_name_any_of_the_names() {
    let ca = rcgen::generate_simple_self_signed(["ca".to_owned()]).unwrap().cert.pem();
    // Optional, so that a client without any is let in; the name inherits what the default asks.
    let setup = Setup::hello().tls().described(|tls| {
        tls.client_auth(ClientAuth::Optional, ca.as_bytes()).unwrap();
        tls.identity(Some("other.example"), identity().clone()).unwrap();
    });
    setup.run(async |host| {
        let mut peer = host.connect().await;
        for name in ["localhost", "other.example"] {
            peer.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).await;
            assert_eq!(peer.answer().await.status, 200, "{name}");
        }
    });
}
