//! A strict reader of OpenMetrics 1.0, as far as our types of families reach: it panics on whatever a scraper could refuse.

use std::collections::{BTreeMap, HashSet};

/// A page that was found valid.
pub(super) struct Page {
    pub(super) families: Vec<Family>,
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
    /// The family that is read has samples already.
    sampled: bool,
}

pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: String,
}

impl Page {
    pub(super) fn read(text: &str) -> Self {
        let text = text.strip_suffix("# EOF\n").expect("the last line is the end mark");
        let mut page = Self { families: Vec::new(), samples: BTreeMap::new(), sampled: false };
        for line in text.lines() {
            match line.strip_prefix("# ") {
                Some(metadata) => page.metadata(metadata),
                None => page.sample(line),
            }
        }
        page.check_histograms();
        page
    }

    fn metadata(&mut self, line: &str) {
        let [keyword, name, rest] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("metadata: {line}")
        };
        if keyword == "TYPE" {
            assert!(name.starts_with(|c: char| c.is_ascii_alphabetic()), "{name}");
            assert!(name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_'), "{name}");
            assert!(["counter", "gauge", "histogram", "info"].contains(&rest), "{line}");
            assert!(!["_total", "_info", "_bucket"].iter().any(|suffix| name.ends_with(suffix)), "{name}");
            assert!(self.families.iter().all(|family| family.name != name), "{name} stands there twice");
            self.sampled = false;
            self.families.push(Family { name: name.to_owned(), kind: rest.to_owned() });
            return;
        }
        assert_eq!(self.families.last().expect("a type comes first").name, name, "{line}");
        assert!(!self.sampled, "metadata behind samples: {line}");
        match keyword {
            "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
            "HELP" => assert!(!rest.is_empty() && !rest.contains('\n'), "{line}"),
            _ => panic!("unknown metadata: {line}"),
        }
    }

    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}').expect("closing brace"))),
            None => (series, Vec::new()),
        };
        let family = self.families.last().expect("a type comes first");
        let suffix = name.strip_prefix(&*family.name).unwrap_or_else(|| panic!("{line} in {}", family.name));
        let allowed: &[&str] = match &*family.kind {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            _ => &["_bucket", "_count", "_sum"],
        };
        assert!(allowed.contains(&suffix), "{line} in a {}", family.kind);
        assert!(family.kind == "gauge" || (value.is_finite() && value >= 0.0), "{line}");
        let names: HashSet<_> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), labels.len(), "a label stands twice: {line}");
        self.sampled = true;
        assert!(self.samples.insert((name.to_owned(), labels), value).is_none(), "twice: {line}");
    }

    fn check_histograms(&self) {
        for family in self.families.iter().filter(|family| family.kind == "histogram") {
            let count = format!("{}_count", family.name);
            for ((_, labels), total) in self.samples.iter().filter(|((name, _), _)| *name == count) {
                let buckets = self.buckets(&family.name, labels);
                assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{} {buckets:?}", family.name);
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, *total)), "{}", family.name);
                assert_eq!(buckets.len(), 12, "{}", family.name);
            }
        }
    }

    /// Edges and counts of one histogram, by edge.
    fn buckets(&self, family: &str, labels: &[(String, String)]) -> Vec<(f64, f64)> {
        let bucket = format!("{family}_bucket");
        let mut buckets = Vec::new();
        for ((name, own), count) in &self.samples {
            let Some((edge, rest)) = own.split_last() else { continue };
            if *name == bucket && rest == labels {
                assert_eq!(edge.0, "le");
                assert!(edge.1.contains('.') || edge.1 == "+Inf", "not the canonical float: {}", edge.1);
                buckets.push((edge.1.parse::<f64>().unwrap(), *count));
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        buckets
    }

    /// The value of one sample.
    pub(super) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// The sum over all label sets.
    pub(super) fn sum(&self, name: &str) -> f64 {
        self.samples.iter().filter(|((sample, _), _)| sample == name).map(|(_, value)| value).sum()
    }
}

fn read_labels(mut text: &str) -> Vec<(String, String)> {
    let mut labels = Vec::new();
    loop {
        let (name, rest) = text.split_once("=\"").expect("a label has a quoted value");
        assert!(name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'_'), "{name}");
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next().expect("a label's value ends") {
                (end, '"') => break end,
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                    other => panic!("unknown escape {other:?}"),
                },
                (_, plain) => value.push(plain),
            }
        };
        labels.push((name.to_owned(), value));
        match &rest[end + 1..] {
            "" => return labels,
            more => text = more.strip_prefix(',').expect("a comma between labels"),
        }
    }
}
