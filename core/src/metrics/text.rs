//! OpenMetrics 1.0 as text: metadata in front of samples, suffixes and units that belong to a family's type, labels escaped.
//! Which families there are is `metrics.rs`.

use std::fmt::{Display, Write};
use std::time::Duration;

/// Labels in the order in which they are written.
type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page under way.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "counter", "_total", help)
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "gauge", "", help)
    }

    pub(super) fn histogram(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "histogram", "", help)
    }

    pub(super) fn info(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, "info", "_info", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, suffix: &'static str, help: &str) -> Family<'_> {
        self.line(format_args!("# TYPE {name} {kind}"));
        // A unit is part of the name, so the name is where it is written down.
        if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")))
        {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {}", Escaped(help)));
        Family { text: self, name, suffix }
    }

    fn line(&mut self, line: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    pub(super) fn finish(mut self) -> String {
        self.line("# EOF");
        self.0
    }
}

/// One family: its metadata is written, its samples follow.
pub(super) struct Family<'t> {
    text: &'t mut Text,
    name: &'static str,
    suffix: &'static str,
}

impl Family<'_> {
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.write(self.suffix, labels, None, value);
    }

    /// The samples of one histogram, from cumulated counts; the last edge is `+Inf`.
    pub(super) fn distribution(
        &mut self,
        labels: Labels<'_>,
        cumulated: impl Iterator<Item = (&'static str, u64)>,
        sum: Duration,
    ) {
        let mut count = 0;
        for (edge, below) in cumulated {
            self.write("_bucket", labels, Some(edge), below);
            count = below;
        }
        self.write("_count", labels, None, count);
        self.write("_sum", labels, None, sum.as_secs_f64());
    }

    fn write(&mut self, suffix: &str, labels: Labels<'_>, edge: Option<&'static str>, value: impl Display) {
        let (name, labels) = (self.name, Braced(labels, edge));
        self.text.line(format_args!("{name}{suffix}{labels} {value}"));
    }
}

/// A label set, with a histogram's edge behind it.
struct Braced<'a>(Labels<'a>, Option<&'static str>);

impl Display for Braced<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels = self.0.iter().copied().chain(self.1.map(|edge| ("le", edge)));
        for (index, (name, value)) in labels.enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(f, "{before}{name}=\"{}\"", Escaped(value))?;
        }
        if self.0.is_empty() && self.1.is_none() { Ok(()) } else { f.write_char('}') }
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '"' => f.write_str("\\\""),
            '\n' => f.write_str("\\n"),
            c => f.write_char(c),
        })
    }
}
