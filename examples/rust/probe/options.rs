//! The probe's command line as data. It is checked for shape here; what a key, a policy or an address may be, the library says.

use std::str::FromStr;

pub(crate) const USAGE: &str = "\
usage: probe [--mode inline|workers|queue] [--queues N] [--consumers N] [--set KEY=TEXT]...
             --listen ADDR [listener options] [--listen ADDR [listener options]]...

  --mode MODE           who runs the handlers (inline)
  --queues N            queues, with --mode queue (1)
  --consumers N         threads that drain each queue (1)
  --set KEY=TEXT        a setting: of the server, or behind --listen of that listener
  --listen ADDR         127.0.0.1:8443, [::1]:0, unix:/path
  --listen-fd N         a bound socket instead
  --events FILE         one JSON object per connection and request event
  --log FILE            the library's log records
  --admin ADDR          /metrics and /stats in cleartext, exempt from load caps
  --print-settings      the effective settings as JSON, then exit

listener options:
  --self-signed[=NAME,NAME] | --cert FILE --key FILE | --plaintext
  --policy NAME  --groups LIST  --suites LIST  --versions LIST  --alpn LIST
  --client-ca FILE  --client-auth off|optional|required
  --sni NAME=CERT:KEY[:POLICY]  --set-sni NAME:KEY=TEXT
  --trust-proxy CIDR  --ticket-keys FILE
";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Inline,
    Workers,
    Queue,
}

#[derive(Debug, Default)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// 0 if not given.
    pub(crate) queues: usize,
    /// Of each queue; 0 if not given.
    pub(crate) consumers: usize,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) listeners: Vec<ListenerOptions>,
    pub(crate) events: Option<String>,
    pub(crate) log: Option<String>,
    pub(crate) admin: Option<String>,
    pub(crate) print_settings: bool,
}

#[derive(Debug, Default)]
pub(crate) struct ListenerOptions {
    pub(crate) place: Place,
    pub(crate) plaintext: bool,
    /// The names; empty for the usual ones.
    pub(crate) self_signed: Option<String>,
    pub(crate) cert: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) policy: Option<String>,
    pub(crate) groups: Option<String>,
    pub(crate) suites: Option<String>,
    pub(crate) versions: Option<String>,
    pub(crate) alpn: Option<String>,
    pub(crate) client_ca: Option<String>,
    pub(crate) client_auth: Option<String>,
    pub(crate) ticket_keys: Option<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) names: Vec<NamedIdentity>,
    /// Server name, key, text.
    pub(crate) name_settings: Vec<(String, String, String)>,
    pub(crate) proxies: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Place {
    Address(String),
    Descriptor(i32),
}

impl Default for Place {
    fn default() -> Self {
        Self::Address(String::new())
    }
}

/// `--sni NAME=CERT:KEY[:POLICY]`
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NamedIdentity {
    pub(crate) server_name: String,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) policy: Option<String>,
}

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Options),
    Help,
}

/// Reads the arguments behind the program's name; the error is one line.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Asked, String> {
    let mut options = Options::default();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            return Err(format!("{argument}: expected an option, see --help"));
        }
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*argument, None),
        };
        if name == "--help" {
            return Ok(Asked::Help);
        }
        if options.flag(name, value.as_deref())? {
            continue;
        }
        let Some(value) = value.or_else(|| arguments.next()) else {
            return Err(format!("{name}: no such option, or its value is missing"));
        };
        options.take(name, value)?;
    }
    if options.listeners.is_empty() && !options.print_settings {
        return Err("nothing to do without --listen, see --help".to_owned());
    }
    options.listeners.iter().try_for_each(ListenerOptions::check)?;
    Ok(Asked::Run(options))
}

impl Options {
    /// An option that needs no value; `false` if it is none of them.
    fn flag(&mut self, name: &str, value: Option<&str>) -> Result<bool, String> {
        let current = self.listeners.last_mut().ok_or_else(|| format!("{name} belongs behind a --listen"));
        match name {
            "--self-signed" => current?.self_signed = Some(value.unwrap_or_default().to_owned()),
            "--plaintext" | "--print-settings" if value.is_some() => {
                return Err(format!("{name} takes no value"));
            }
            "--plaintext" => current?.plaintext = true,
            "--print-settings" => self.print_settings = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "--mode" => {
                self.mode = match &*value {
                    "inline" => Mode::Inline,
                    "workers" => Mode::Workers,
                    "queue" => Mode::Queue,
                    _ => return Err(format!("--mode {value}: expected inline, workers or queue")),
                }
            }
            "--queues" => self.queues = number(name, &value, 1, 256)?,
            "--consumers" => self.consumers = number(name, &value, 1, 256)?,
            "--set" => {
                let (key, text) =
                    value.split_once('=').ok_or_else(|| format!("--set {value}: expected KEY=TEXT"))?;
                let list =
                    self.listeners.last_mut().map_or(&mut self.settings, |current| &mut current.settings);
                list.push((key.to_owned(), text.to_owned()));
            }
            "--listen" => self.listen(Place::Address(value)),
            "--listen-fd" => self.listen(Place::Descriptor(number(name, &value, 0, 1 << 20)?)),
            "--events" => self.events = Some(value),
            "--log" => self.log = Some(value),
            "--admin" => self.admin = Some(value),
            _ => match self.listeners.last_mut() {
                Some(current) => current.take(name, value)?,
                None => return Err(format!("{name}: no such option, or it belongs behind a --listen")),
            },
        }
        Ok(())
    }

    fn listen(&mut self, place: Place) {
        self.listeners.push(ListenerOptions { place, ..ListenerOptions::default() });
    }
}

impl ListenerOptions {
    fn take(&mut self, name: &str, value: String) -> Result<(), String> {
        let field = match name {
            "--cert" => &mut self.cert,
            "--key" => &mut self.key,
            "--policy" => &mut self.policy,
            "--groups" => &mut self.groups,
            "--suites" => &mut self.suites,
            "--versions" => &mut self.versions,
            "--alpn" => &mut self.alpn,
            "--client-ca" => &mut self.client_ca,
            "--client-auth" => &mut self.client_auth,
            "--ticket-keys" => &mut self.ticket_keys,
            "--sni" => {
                self.names.push(
                    named(&value).ok_or_else(|| format!("--sni {value}: expected NAME=CERT:KEY[:POLICY]"))?,
                );
                return Ok(());
            }
            "--set-sni" => {
                let parts = value.split_once('=').and_then(|(head, text)| {
                    let (server_name, key) = head.split_once(':')?;
                    Some((server_name.to_owned(), key.to_owned(), text.to_owned()))
                });
                self.name_settings
                    .push(parts.ok_or_else(|| format!("--set-sni {value}: expected NAME:KEY=TEXT"))?);
                return Ok(());
            }
            "--trust-proxy" => {
                self.proxies.push(value);
                return Ok(());
            }
            _ => return Err(format!("{name}: no such option")),
        };
        *field = Some(value);
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let place = match &self.place {
            Place::Address(address) => address,
            Place::Descriptor(_) => "--listen-fd",
        };
        let tls_options = [
            &self.policy,
            &self.groups,
            &self.suites,
            &self.versions,
            &self.alpn,
            &self.client_ca,
            &self.client_auth,
            &self.ticket_keys,
        ];
        let secured = self.self_signed.is_some() || self.cert.is_some() || !self.names.is_empty();
        let fault = if self.cert.is_some() != self.key.is_some() {
            "--cert and --key go together"
        } else if self.self_signed.is_some() && self.cert.is_some() {
            "either --self-signed or --cert"
        } else if self.plaintext && secured {
            "either --plaintext or an identity"
        } else if self.plaintext && tls_options.iter().any(|option| option.is_some()) {
            "--plaintext has no TLS to configure"
        } else if !self.plaintext && !secured {
            "needs --self-signed, --cert and --key, or --plaintext"
        } else {
            return Ok(());
        };
        Err(format!("{place}: {fault}"))
    }
}

fn named(value: &str) -> Option<NamedIdentity> {
    let (server_name, files) = value.split_once('=')?;
    let (cert, rest) = files.split_once(':')?;
    let (key, policy) = match rest.split_once(':') {
        Some((key, policy)) => (key, Some(policy.to_owned())),
        None => (rest, None),
    };
    Some(NamedIdentity {
        server_name: server_name.to_owned(),
        cert: cert.to_owned(),
        key: key.to_owned(),
        policy,
    })
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    name: &str,
    value: &str,
    least: T,
    most: T,
) -> Result<T, String> {
    let digits = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit());
    let parsed = digits.then(|| value.parse().ok()).flatten();
    parsed
        .filter(|number| *number >= least && *number <= most)
        .ok_or_else(|| format!("{name} {value}: expected a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        match parse(line.split_whitespace().map(str::to_owned))? {
            Asked::Run(options) => Ok(options),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn settings_belong_to_the_listener_that_they_follow() {
        let options = read(
            "--set io_threads=1 --listen 127.0.0.1:0 --self-signed=a,b --set header_timeout=2s \
             --listen unix:/x --plaintext --set=http2=0 --set-sni a:max_header_bytes=4096",
        )
        .unwrap();
        assert_eq!(options.settings, [("io_threads".to_owned(), "1".to_owned())]);
        let [first, second] = &options.listeners[..] else { panic!("{options:?}") };
        assert_eq!(first.self_signed.as_deref(), Some("a,b"));
        assert_eq!(first.settings, [("header_timeout".to_owned(), "2s".to_owned())]);
        assert_eq!(second.settings, [("http2".to_owned(), "0".to_owned())]);
        assert_eq!(second.name_settings[0].1, "max_header_bytes");
    }

    #[test]
    fn an_identity_by_name_may_bring_its_policy() {
        let options = read("--listen a:1 --sni a.example=/c.pem:/k.pem:modern --sni b=/c:/k").unwrap();
        let names = &options.listeners[0].names;
        assert_eq!(
            (&*names[0].cert, &*names[0].key, names[0].policy.as_deref()),
            ("/c.pem", "/k.pem", Some("modern"))
        );
        assert_eq!(names[1].policy, None);
    }

    #[test]
    fn what_makes_no_sense_is_told_in_one_line() {
        for (line, told) in [
            ("", "without --listen"),
            ("--listen", "value is missing"),
            ("listen", "expected an option"),
            ("--plaintext", "belongs behind a --listen"),
            ("--policy modern", "belongs behind a --listen"),
            ("--listen a:1", "needs --self-signed"),
            ("--listen a:1 --plaintext=1", "takes no value"),
            ("--listen a:1 --plaintext --policy modern", "no TLS"),
            ("--listen a:1 --plaintext --self-signed", "either --plaintext"),
            ("--listen a:1 --cert c", "go together"),
            ("--listen a:1 --self-signed --sni x=y", "NAME=CERT:KEY"),
            ("--mode x", "expected inline"),
            ("--queues 0", "from 1 to 256"),
            ("--queues +1", "from 1 to 256"),
            ("--set x", "KEY=TEXT"),
            ("--listen a:1 --nonsense x", "no such option"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(told) && !error.contains('\n'), "{line}: {error}");
        }
        assert_eq!(read("--listen a:1 --help").unwrap_err(), "help");
    }
}
