//! Finds pseudo-fields in a trailer section: they make the request malformed (RFC 9113 §8.1), and h2 0.4.20 drops them unseen.
//! Of HPACK (RFC 7541 §6) only as much is read as tells where a name begins. What the dynamic table holds is h2's to know: a
//! pseudo-field that only refers to an entry there is dropped as before, and never arrives.

/// A trailer section under way.
#[derive(Debug, Default)]
pub(super) struct Scan {
    part: Part,
    found: bool,
}

/// What the next octet is of.
#[derive(Clone, Copy, Debug, Default)]
enum Part {
    #[default]
    Field,
    NameLength,
    ValueLength,
    /// An integer that did not fit its prefix.
    Integer {
        of: Number,
        value: usize,
        shift: u32,
    },
    /// The first octet of a name.
    Name {
        huffman: bool,
        length: usize,
    },
    RestOfName(usize),
    RestOfValue(usize),
    /// Behind an integer that h2 refuses.
    Lost,
}

#[derive(Clone, Copy, Debug)]
enum Number {
    TableSize,
    /// Of a whole field.
    Field,
    /// Of a name, the value behind it.
    Name,
    NameLength {
        huffman: bool,
    },
    ValueLength,
}

impl Scan {
    /// More of the section; whether there was a pseudo-field so far.
    pub(super) fn feed(&mut self, octets: &[u8]) -> bool {
        for octet in octets {
            self.part = self.step(*octet);
        }
        self.found
    }

    fn step(&mut self, octet: u8) -> Part {
        let huffman = octet & 0x80 != 0;
        match self.part {
            Part::Field => match octet {
                0x80.. => self.integer(octet, 0x7f, Number::Field),
                0x40.. => self.integer(octet, 0x3f, Number::Name),
                0x20.. => self.integer(octet, 0x1f, Number::TableSize),
                _ => self.integer(octet, 0x0f, Number::Name),
            },
            Part::NameLength => self.integer(octet, 0x7f, Number::NameLength { huffman }),
            Part::ValueLength => self.integer(octet, 0x7f, Number::ValueLength),
            Part::Integer { shift: 28.., .. } | Part::Lost => Part::Lost,
            Part::Integer { of, value, shift } => {
                let value = value + (usize::from(octet & 0x7f) << shift);
                if octet & 0x80 == 0 {
                    self.take(of, value)
                } else {
                    Part::Integer { of, value, shift: shift + 7 }
                }
            }
            Part::Name { huffman, length } => {
                // The code of a colon has seven bits (RFC 7541 appendix B).
                self.found |= if huffman { octet & 0xfe == 0b1011_1000 } else { octet == b':' };
                if length > 1 { Part::RestOfName(length - 1) } else { Part::ValueLength }
            }
            Part::RestOfName(left) if left > 1 => Part::RestOfName(left - 1),
            Part::RestOfName(_) => Part::ValueLength,
            Part::RestOfValue(left) if left > 1 => Part::RestOfValue(left - 1),
            Part::RestOfValue(_) => Part::Field,
        }
    }

    fn integer(&mut self, octet: u8, mask: u8, of: Number) -> Part {
        let value = usize::from(octet & mask);
        if octet & mask < mask { self.take(of, value) } else { Part::Integer { of, value, shift: 0 } }
    }

    fn take(&mut self, of: Number, value: usize) -> Part {
        if matches!(of, Number::Field | Number::Name) {
            // The first of the static table are the pseudo-fields.
            self.found |= (1..=14).contains(&value);
        }
        match (of, value) {
            (Number::Name, 0) => Part::NameLength,
            (Number::Name, _) | (Number::NameLength { .. }, 0) => Part::ValueLength,
            (Number::NameLength { huffman }, length) => Part::Name { huffman, length },
            (Number::TableSize | Number::Field, _) | (Number::ValueLength, 0) => Part::Field,
            (Number::ValueLength, length) => Part::RestOfValue(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Scan;

    fn found(section: &[u8]) -> bool {
        let mut scan = Scan::default();
        let at_once = Scan::default().feed(section);
        let in_pieces = section.iter().fold(false, |_, octet| scan.feed(&[*octet]));
        assert_eq!(at_once, in_pieces);
        at_once
    }

    /// A value longer than its prefix can say.
    fn long(first: u8, length: usize) -> Vec<u8> {
        let mut octets = vec![first, 0x7f, (length - 127) as u8 | 0x80, ((length - 127) >> 7) as u8];
        octets.extend(vec![b':'; length]);
        octets
    }

    #[test]
    fn pseudo_fields_are_found_however_they_are_written() {
        let plain = |octet| [&[octet, 5][..], b":path", &[1], b"/"].concat();
        // 0x44 names :path by its number, 0x88 is ":status: 200", 0xb9 begins ":path" in Huffman's code.
        let huffman = [0x40, 0x84, 0xb9, 0x58, 0xd3, 0x3f, 0x81, 0x63];
        let cases =
            [plain(0x00), plain(0x10), plain(0x40), vec![0x44, 1, b'/'], vec![0x04, 0], vec![0x14, 0]];
        for section in cases.iter().chain(&[vec![0x88], vec![0x81], vec![0x8e], huffman.to_vec()]) {
            assert!(found(section), "{section:x?}");
            let behind =
                [&[0x3f, 0xe1, 0x1f, 0x00, 1, b'x', 2, b'a', b':'][..], &long(0x5c, 300), section].concat();
            assert!(found(&behind), "{behind:x?}");
        }
    }

    #[test]
    fn other_fields_are_none() {
        let named = [0x00, 3, b'a', b':', b'b', 1, b':'];
        for section in [
            &[0x8f][..],
            &[0xbe],
            &[0x0f, 0, 0],
            &named,
            &[0x20],
            &[0x00, 0, 1, b':', 0xc1],
            &long(0x5c, 300),
        ] {
            assert!(!found(section), "{section:x?}");
        }
        // Neither an integer without an end nor what stands behind it.
        assert!(!found(&[&[0xff; 20][..], &[0x88; 20]].concat()));
    }
}
