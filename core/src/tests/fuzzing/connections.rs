//! Connections: the production connection function over a pipe in memory, on paused time. What a peer sends, and when, is the
//! input; at the end of each the books balance (`Setup::run`).

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{choices, cuts};
use crate::request::{Body, Read, Request};
use crate::tests::chaos::{Dice, Speech, attend, opening, pinched, play, press, setup, treat};
use crate::tests::peer::millis;
use crate::tests::support::Host;

/// What a peer of HTTP/1 sends, in pieces, to a program that mostly answers.
pub fn http1(data: &[u8]) {
    drive(data, &[]);
}

/// What a peer of HTTP/2 sends behind its preface and its SETTINGS.
pub fn http2(data: &[u8]) {
    drive(data, &opening());
}

/// Sends the octets in pieces; between them the program acts, and the peer reads. Half of the seeds are of restless servers: their
/// limits are narrow, time passes, memory runs short, the end comes, or the octets meet a listener that expects TLS.
fn drive(data: &[u8], opening: &[u8]) {
    let Some(([choice, seed], octets)) = choices(data) else { return };
    let mut dice = Dice::seeded(u64::from(choice));
    let mut restless = (seed & 0x80 != 0).then(|| Dice::seeded(u64::from(choice) << 8 | u64::from(seed)));
    let mut setup = setup(&mut dice);
    if let Some(restless) = &mut restless {
        setup = pinched(setup, restless);
        if restless.below(8) == 0 {
            setup = setup.tls();
        }
    }
    setup.run(async |host| {
        let mut peer = host.dial();
        let mut requests = Vec::new();
        let _ = timeout(PAUSE, peer.try_send(opening)).await;
        // As many pieces as make a difference, whatever the length.
        let ends: Vec<usize> = cuts(octets.len(), seed).collect();
        let ends = ends.chunks(ends.len() / 32 + 1).filter_map(|ends| ends.last().copied());
        let mut begin = 0;
        for end in ends {
            let sent = timeout(PAUSE, peer.try_send(&octets[begin..end])).await;
            begin = end;
            let over = timeout(PAUSE, peer.rest()).await.is_ok();
            serve(host, &mut requests, &mut dice).await;
            if let Some(restless) = &mut restless {
                stir(host, &requests, restless).await;
            }
            if over || matches!(sent, Ok(Err(_))) {
                break;
            }
        }
        match seed % 4 {
            0 => drop(timeout(PAUSE, peer.try_finish()).await),
            1 => return peer.reset(),
            2 => return,
            _ => {}
        }
        // Until the program is through with what came; whom it leaves waiting has limits.
        for _ in 0..8 {
            let over = timeout(PAUSE, peer.rest()).await.is_ok();
            serve(host, &mut requests, &mut dice).await;
            if over {
                break;
            }
        }
    });
}

/// Mostly nothing.
async fn stir(host: &Host, requests: &[Request], restless: &mut Dice<'_>) {
    match restless.below(16) {
        0 => sleep(millis(*restless.pick(&[50, 700, 2_500, 5_500]))).await,
        1 => press(restless, host),
        2 if restless.below(4) == 0 => host.server.shutdown(Some(millis(*restless.pick(&[0, 500])))),
        3 | 4 if !requests.is_empty() => {
            let request = restless.pick(requests);
            attend(restless, request);
        }
        // For those who look on: it can be had at any time.
        5 => drop(host.server.metrics_text()),
        _ => {}
    }
}

/// Long enough for everybody to act, too short for a limit.
const PAUSE: Duration = millis(2);

/// Mostly reads what there is and answers; now and then does anything.
async fn serve(host: &Host, requests: &mut Vec<Request>, dice: &mut Dice<'_>) {
    while host.is_request_waiting() {
        requests.push(host.request().await);
    }
    for request in std::mem::take(requests) {
        if dice.below(4) == 0 {
            requests.extend(treat(dice, request));
            continue;
        }
        loop {
            match request.read(&mut [0; 4_096], Some(Duration::ZERO)) {
                Ok(Read::Octets(_)) => {}
                Ok(Read::Again) => break requests.push(request),
                Ok(Read::End) => break drop(request.respond(200, [], Body::Copied(b"hello"))),
                Err(_) => break,
            }
        }
    }
}

/// Peers, time and program act as the octets choose, on either protocol.
pub fn acts(data: &[u8]) {
    let Some(([choice], octets)) = choices(data) else { return };
    let mut dice = Dice::Given(octets);
    let speech = if choice & 1 == 0 { Speech::http1() } else { Speech::http2() };
    let setup = setup(&mut dice);
    pinched(setup, &mut dice).run(async |host| play(&mut dice, speech, host).await);
}
