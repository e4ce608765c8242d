//! Random requests from a seed: pieces of the grammar with the odd ones mixed in, and octets changed afterwards. The same seed
//! gives the same octets for ever, so that a fault is named by it.

/// xorshift64*: small, seeded, and good enough to choose pieces.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn pick<'a>(&mut self, pieces: &[&'a str]) -> &'a str {
        pieces[self.below(pieces.len())]
    }

    /// Mostly a plain piece, now and then an odd one.
    fn mostly<'a>(&mut self, plain: &[&'a str], odd: &[&'a str]) -> &'a str {
        let pieces = if self.one_in(12) { odd } else { plain };
        self.pick(pieces)
    }
}

/// The octets of one connection: one to three requests, and in a third of the cases some octets changed.
pub(crate) fn connection(seed: u64) -> Vec<u8> {
    let mut dice = Dice::new(seed);
    let mut octets = Vec::new();
    for _ in 0..1 + dice.below(3) {
        octets.extend(request(&mut dice));
    }
    if dice.one_in(3) {
        for _ in 0..1 + dice.below(3) {
            change(&mut dice, &mut octets);
        }
    }
    octets
}

/// Requests that nobody may refuse, and how many.
pub(crate) fn well_formed(seed: u64) -> (Vec<u8>, usize) {
    let mut dice = Dice::new(seed);
    let count = 1 + dice.below(3);
    let mut octets = String::new();
    for _ in 0..count {
        let (method, target) = (dice.pick(&METHODS), dice.pick(&TARGETS));
        octets += &format!("{method} {target} HTTP/1.1\r\nHost: a\r\n");
        for _ in 0..dice.below(4) {
            octets += &format!("{}: {}\r\n", dice.pick(&NAMES), dice.pick(&VALUES));
        }
        let content = dice.pick(&["", "x", "hello", "GET / HTTP/1.1\r\nHost: b\r\n\r\n"]);
        octets += &if dice.one_in(2) {
            format!("Content-Length: {}\r\n\r\n{content}", content.len())
        } else if content.is_empty() {
            "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()
        } else {
            format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{content}\r\n0\r\n\r\n", content.len())
        };
    }
    (octets.into_bytes(), count)
}

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "X-YZ"];
const TARGETS: [&str; 5] = ["/", "/a/b", "/a?b=c", "/%41?%zz", "http://a/x"];
const NAMES: [&str; 5] = ["Accept", "X-Test", "x-test", "Cookie", "User_Agent"];
const VALUES: [&str; 6] = ["", "x", "a b", "a, b;c=\"d\"", "\t x \t", "\u{e9}"];

fn request(dice: &mut Dice) -> Vec<u8> {
    let mut text = String::new();
    let end = |dice: &mut Dice| dice.mostly(&["\r\n"], &["\n", "\r", "\r\r\n", "\n\r"]).to_owned();
    if dice.one_in(16) {
        text += dice.pick(&["\r\n", "\n", "\r\n\r\n", " ", "\r"]);
    }
    text += dice.mostly(&METHODS, &["get", "", "G T", "GET ", "CONNECT", "G\u{e9}T", "PRI", "HEAD", "TRACE"]);
    text += dice.mostly(&[" "], &["  ", "\t", "", "\u{b}", "\r"]);
    text += dice.mostly(
        &TARGETS,
        &[
            "",
            "*",
            "a",
            "a:80",
            "http://b/",
            "http://a@a/",
            "/#x",
            "/\u{7f}",
            "/\u{e9}",
            "//",
            "/a b",
            "http://",
            "/\0",
        ],
    );
    text += dice.mostly(&[" "], &["  ", "\t", ""]);
    text += dice.mostly(
        &["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"],
        &["HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/1.1 ", "HTTP/1.10", "HTTP/1", "", "HTTP/11"],
    );
    text += &end(dice);
    let content = field_lines(dice, &mut text);
    text += &end(dice);
    text += &content;
    text.into_bytes()
}

/// Appends the header section, and returns the content that goes with it, or does not.
fn field_lines(dice: &mut Dice, text: &mut String) -> String {
    let host = dice.mostly(
        &["Host: a"],
        &[
            "",
            "Host: a\r\nHost: a",
            "Host: b",
            "Host:",
            "Host : a",
            "Host: a/b",
            "Host: a\r\n b",
            "host:a",
            "Host: a, b",
        ],
    );
    let mut lines = vec![host.to_owned()];
    for _ in 0..dice.below(4) {
        let name =
            dice.mostly(&NAMES, &["", "X Y", "X(", "Expect", "Connection", "TE", " X", "\u{e9}", "Upgrade"]);
        let colon = dice.mostly(&[": ", ":"], &[" :", "\t:", "", ":\t", "::"]);
        let value = dice.mostly(
            &VALUES,
            &[
                "\0",
                "\u{1}",
                "a\r\n b",
                "a\nb",
                "100-continue",
                "close",
                "keep-alive",
                "h2c",
                "\u{7f}",
                "a\rb",
            ],
        );
        lines.push(format!("{name}{colon}{value}"));
    }
    let content = dice.pick(&["", "x", "hello", "0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    let framing = dice.below(8);
    let (mut announced, mut body) = (Vec::new(), content.to_owned());
    if framing < 3 || framing == 7 {
        let odd = ["+5", "5, 5", "0x5", "", "-1", "5 5", "18446744073709551617", "05", "1e1", "6", "0"];
        let length = content.len().to_string();
        let length = dice.mostly(&[length.as_str()], &odd).to_owned();
        announced.push(format!("Content-Length: {length}"));
        if dice.one_in(12) {
            announced.push(format!("content-length: {}", dice.pick(&[length.as_str(), "5", "7"])));
        }
    }
    if (3..6).contains(&framing) || framing == 7 && dice.one_in(3) {
        let odd = [
            "gzip",
            "gzip, chunked",
            "chunked, chunked",
            "identity",
            "",
            "chunked;a",
            "xchunked",
            "chunked,",
            "\u{b}chunked",
        ];
        announced.push(format!("Transfer-Encoding: {}", dice.mostly(&["chunked", "Chunked"], &odd)));
        if dice.one_in(12) {
            announced.push("Transfer-Encoding: chunked".to_owned());
        }
        body = chunks(dice, content);
    }
    for line in announced {
        lines.insert(dice.below(lines.len() + 1), line);
    }
    for line in lines.iter().filter(|line| !line.is_empty()) {
        *text += line;
        *text += dice.mostly(&["\r\n"; 12], &["\r\n", "\n", "\r", "\r\r\n", "\r\n "]);
    }
    body
}

fn chunks(dice: &mut Dice, content: &str) -> String {
    let mut text = String::new();
    let end =
        |dice: &mut Dice| dice.mostly(&["\r\n"; 6], &["\r\n", "\n", "\r", "", "\r\r\n", "XX"]).to_owned();
    let split = dice.below(content.len() + 1);
    // The pieces are cut between octets of ASCII.
    for piece in [&content[..split], &content[split..]].iter().filter(|piece| !piece.is_empty()) {
        let size = format!("{:x}", piece.len());
        let odd = [
            "0x1",
            "+1",
            "-1",
            "",
            "g",
            "ffffffffffffffff",
            "10000000000000001",
            "1 ",
            " 1",
            "01",
            "00000000000000001",
        ];
        text += dice.mostly(&[size.as_str()], &odd);
        text += dice.mostly(
            &[""],
            &[";a", ";a=b", "; a", " ;a", ";", ";a=\"b\"", ";\u{1}", ";a\nb", ";a\rb", ";\u{e9}"],
        );
        text += &end(dice);
        text += piece;
        text += &end(dice);
    }
    text += dice.mostly(&["0"], &["00", "", "0;x", "-0", "0 "]);
    text += &end(dice);
    text += dice.mostly(
        &["", "", "X-Sum: 1\r\n"],
        &[
            "X-Sum : 1\r\n",
            "X\r\n",
            "X: 1\n",
            " X: 1\r\n",
            "X: \0\r\n",
            "Content-Length: 5\r\n",
            "X: 1\r\n 2\r\n",
        ],
    );
    text += &end(dice);
    text
}

/// Replaces, inserts, removes or doubles an octet.
fn change(dice: &mut Dice, octets: &mut Vec<u8>) {
    const CHANGES: &[u8] = b"\r\n \t:;,/\0\x01\x7f\xff\"0159afX+-_";
    if octets.is_empty() {
        return;
    }
    let at = dice.below(octets.len());
    let octet = CHANGES[dice.below(CHANGES.len())];
    match dice.below(4) {
        0 => octets[at] = octet,
        1 => octets.insert(at, octet),
        2 => drop(octets.remove(at)),
        _ => octets.insert(at, octets[at]),
    }
}
