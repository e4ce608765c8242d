//! Reads what a case of `tests/corpus/http1.txt` sends. What it expects is the black-box suite's business.

/// The octets of one connection.
pub(crate) struct Case {
    pub name: String,
    pub octets: Vec<u8>,
}

/// All cases, in the order of the file.
pub(crate) fn read() -> Vec<Case> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/http1.txt");
    let text = std::fs::read_to_string(path).expect("the corpus");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (word, cases.last_mut()) {
            ("case", _) => cases.push(Case { name: rest.to_owned(), octets: Vec::new() }),
            (">", Some(case)) => case.octets.extend([unescape(rest), b"\r\n".to_vec()].concat()),
            ("|", Some(case)) => case.octets.extend(unescape(rest)),
            ("*", Some(case)) => {
                let (times, text) = rest.split_once(' ').expect("a count and a text");
                case.octets.extend(unescape(text).repeat(times.parse().expect("a count")));
            }
            _ => {}
        }
    }
    cases
}

fn unescape(text: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet != b'\\' {
            octets.push(octet);
            continue;
        }
        octets.push(match rest.next().expect("an escape") {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b's' => b' ',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("digits");
                u8::from_str_radix(digits, 16).expect("hexadecimal digits")
            }
            other => panic!("the escape \\{} in {text:?}", char::from(other)),
        });
    }
    octets
}
