//! Compares the committed header with the code: constants that cbindgen takes from its configuration, and the exports.

use std::collections::BTreeSet;

use bartizan_core::settings::{AUTO, OFF};
use bartizan_core::tls::TICKET_KEY_LEN;

use crate::status::{ABI, AGAIN, Code, EOF, OK};
use crate::{hooks, queue, view};

const HEADER: &str = include_str!("../../include/bartizan.h");

/// Every constant of the header as the code has it. Modes, roles and levels are matched on as numbers where they come in.
fn constants() -> Vec<(&'static str, String)> {
    let code = |code: Code| format!("({})", code.status());
    let unsigned = |number: u32| format!("{number}u");
    vec![
        ("ABI", unsigned(ABI)),
        ("NTS", "((size_t)-1)".into()),
        ("OFF", format!("INT64_C({OFF})")),
        ("AUTO", format!("INT64_C({AUTO})")),
        ("TICKET_KEY_LEN", unsigned(TICKET_KEY_LEN as u32)),
        ("OK", OK.to_string()),
        ("EOF", EOF.to_string()),
        ("AGAIN", AGAIN.to_string()),
        ("E_NULL", code(Code::Null)),
        ("E_VALUE", code(Code::Value)),
        ("E_STRUCT", code(Code::Struct)),
        ("E_OPTION", code(Code::Option)),
        ("E_HANDLE", code(Code::Handle)),
        ("E_STATE", code(Code::State)),
        ("E_CANCELLED", code(Code::Cancelled)),
        ("E_DEADLOCK", code(Code::Deadlock)),
        ("E_FORKED", code(Code::Forked)),
        ("E_CLOSED", code(Code::Closed)),
        ("E_TIMEOUT", code(Code::Timeout)),
        ("E_LIMIT", code(Code::Limit)),
        ("E_TLS", code(Code::Tls)),
        ("E_IO", code(Code::Io)),
        ("E_UNSUPPORTED", code(Code::Unsupported)),
        ("E_PANIC", code(Code::Panic)),
        ("E_REFUSED", code(Code::Refused)),
        ("MODE_INLINE", unsigned(1)),
        ("MODE_WORKERS", unsigned(2)),
        ("CLIENT_AUTH_OFF", unsigned(0)),
        ("CLIENT_AUTH_OPTIONAL", unsigned(1)),
        ("CLIENT_AUTH_REQUIRED", unsigned(2)),
        ("ROLE_WORKER", unsigned(1)),
        ("ROLE_REACTOR", unsigned(2)),
        ("LOG_ERROR", unsigned(1)),
        ("LOG_WARN", unsigned(2)),
        ("LOG_INFO", unsigned(3)),
        ("LOG_DEBUG", unsigned(4)),
        ("CONNECTION_ENTERED", unsigned(hooks::ENTERED)),
        ("CONNECTION_CLOSED", unsigned(hooks::CLOSED)),
        ("VIEW_TARGET_UTF8", unsigned(view::TARGET_UTF8)),
        ("VIEW_HAS_BODY", unsigned(view::HAS_BODY)),
        ("VIEW_BODY_BUFFERED", unsigned(view::BODY_BUFFERED)),
        ("EV_REQUEST", unsigned(queue::EV_REQUEST)),
        ("EV_BODY", unsigned(queue::EV_BODY)),
        ("EV_WRITABLE", unsigned(queue::EV_WRITABLE)),
        ("EV_CANCELLED", unsigned(queue::EV_CANCELLED)),
        ("EV_DONE", unsigned(queue::EV_DONE)),
        ("EV_CONNECTION", unsigned(queue::EV_CONNECTION)),
        ("EV_LOG", unsigned(queue::EV_LOG)),
        ("EV_DROP", unsigned(queue::EV_DROP)),
        ("EV_SHUTDOWN", unsigned(queue::EV_SHUTDOWN)),
        ("EV_REQUEST_END", unsigned(queue::EV_REQUEST_END)),
    ]
}

#[test]
fn the_constants_of_the_header_are_ours() {
    let defined: BTreeSet<_> = HEADER
        .lines()
        .filter_map(|line| line.strip_prefix("#define BARTIZAN_"))
        .filter_map(|line| line.split_once(' '))
        .map(|(name, rest)| {
            let value = rest.split("/*").next().unwrap_or_default().trim();
            (name.to_owned(), value.to_owned())
        })
        .collect();
    let ours = constants().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert_eq!(defined, ours);
}

#[test]
fn the_structure_of_the_metrics_has_the_numbers_of_a_snapshot_in_their_order() {
    let declared =
        HEADER.split("typedef struct bartizan_metrics {").nth(1).unwrap().split('}').next().unwrap();
    let fields = declared.lines().filter_map(|line| line.trim().strip_prefix("uint64_t ")?.strip_suffix(';'));
    let config = bartizan_core::Config::new(
        vec![bartizan_core::Listener::new("127.0.0.1:0".parse().unwrap(), None)],
        bartizan_core::Dispatch::Inline(std::sync::Arc::new(|_: bartizan_core::Request| ())),
    );
    let snapshot = bartizan_core::Server::start(&config).unwrap().snapshot();
    assert!(fields.eq(std::iter::once("struct_size").chain(snapshot.numbers().map(|(name, _)| name))));
}
