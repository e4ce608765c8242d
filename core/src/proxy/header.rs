//! The octets of a PROXY header, without a socket: the two ends that it names, or that it is none.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (HAProxy, 2020-03-05).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::settings::ProxyProtocol;

/// The longest version 1 header, CRLF included.
const V1_MAX: usize = 107;
/// What opens a version 2 header.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest version 2 header that is read: addresses and room for what balancers add.
const V2_MAX: usize = 4096;

/// The two ends that a header names; `None`: the balancer speaks for itself, or does not know.
pub(crate) type Named = Option<(SocketAddr, SocketAddr)>;

/// The header is malformed, or of a version that the listener does not take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invalid;

/// `Ok(None)`: not complete, and nothing wrong yet. The length is that of the header.
pub(crate) fn parse(octets: &[u8], versions: ProxyProtocol) -> Result<Option<(Named, usize)>, Invalid> {
    let v1 = matches!(versions, ProxyProtocol::V1 | ProxyProtocol::Any);
    let v2 = matches!(versions, ProxyProtocol::V2 | ProxyProtocol::Any);
    let signature = octets.len().min(V2_SIGNATURE.len());
    if v2 && octets[..signature] == V2_SIGNATURE[..signature] {
        return if signature < V2_SIGNATURE.len() { Ok(None) } else { parse_v2(octets) };
    }
    let word = octets.len().min(6);
    if v1 && octets[..word] == b"PROXY "[..word] {
        return parse_v1(octets);
    }
    Err(Invalid)
}

fn parse_v1(octets: &[u8]) -> Result<Option<(Named, usize)>, Invalid> {
    let Some(lf) = memchr::memchr(b'\n', &octets[..octets.len().min(V1_MAX)]) else {
        return if octets.len() < V1_MAX { Ok(None) } else { Err(Invalid) };
    };
    let line = octets[..lf].strip_suffix(b"\r").ok_or(Invalid)?;
    let line = std::str::from_utf8(line).map_err(|_| Invalid)?;
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(Invalid)?;
    if family == "UNKNOWN" {
        return Ok(Some((None, lf + 1)));
    }
    let mut word = || words.next().ok_or(Invalid);
    let (source, target, source_port, target_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(Invalid);
    }
    let end = |address: &str, port: &str| -> Result<SocketAddr, Invalid> {
        let address: IpAddr = match family {
            "TCP4" => IpAddr::V4(address.parse::<Ipv4Addr>().map_err(|_| Invalid)?),
            "TCP6" => IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| Invalid)?),
            _ => return Err(Invalid),
        };
        // Digits alone: `parse` would take a sign.
        if port.is_empty()
            || !port.bytes().all(|octet| octet.is_ascii_digit())
            || (port.len() > 1 && port.starts_with('0'))
        {
            return Err(Invalid);
        }
        Ok(SocketAddr::new(address, port.parse().map_err(|_| Invalid)?))
    };
    Ok(Some((Some((end(source, source_port)?, end(target, target_port)?)), lf + 1)))
}

fn parse_v2(octets: &[u8]) -> Result<Option<(Named, usize)>, Invalid> {
    let Some([version_command, family, high, low]) = octets.get(12..16) else { return Ok(None) };
    let end = 16 + usize::from(u16::from_be_bytes([*high, *low]));
    if version_command >> 4 != 2 || end > V2_MAX {
        return Err(Invalid);
    }
    let Some(body) = octets.get(16..end) else { return Ok(None) };
    let named = match (version_command & 0xf, family) {
        // LOCAL: the balancer's own health check.
        (0, _) => None,
        (1, 0x11) => {
            let (addresses, _) = body.split_first_chunk::<12>().ok_or(Invalid)?;
            let [a, b, c, d, e, f, g, h, sh, sl, th, tl] = *addresses;
            Some((
                SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([sh, sl])),
                SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), u16::from_be_bytes([th, tl])),
            ))
        }
        (1, 0x21) => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(Invalid)?;
            let (target, rest) = rest.split_first_chunk::<16>().ok_or(Invalid)?;
            let ([sh, sl, th, tl], _) = rest.split_first_chunk::<4>().ok_or(Invalid)?;
            Some((
                SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes([*sh, *sl])),
                SocketAddr::new(Ipv6Addr::from(*target).into(), u16::from_be_bytes([*th, *tl])),
            ))
        }
        // Unspecified, datagram and unix families name no TCP peer.
        (1, _) => None,
        _ => return Err(Invalid),
    };
    Ok(Some((named, end)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let mut header = V2_SIGNATURE.to_vec();
        header.extend([0x20 | command, family]);
        header.extend((body.len() as u16).to_be_bytes());
        header.extend(body);
        header
    }

    #[test]
    fn a_version_1_header_names_both_ends_at_every_cut() {
        let header = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut], ProxyProtocol::Any), Ok(None), "{cut}");
        }
        let named = Some(("192.0.2.1:56324".parse().unwrap(), "198.51.100.2:443".parse().unwrap()));
        let with_more = [&header[..], b"GET"].concat();
        assert_eq!(parse(&with_more, ProxyProtocol::V1), Ok(Some((named, header.len()))));
        assert_eq!(parse(b"PROXY UNKNOWN whatever\r\n", ProxyProtocol::V1), Ok(Some((None, 24))));
    }

    #[test]
    fn malformed_version_1_headers_are_refused() {
        for header in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 01 443\r\n",
            "PROXY TCP4 2001:db8::1 198.51.100.2 1 443\r\n",
            "PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n",
            "PROXY TCP4 192.0.2.1  198.51.100.2 1 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 443 5\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 1 443\n",
            "PROXY UDP4 192.0.2.1 198.51.100.2 1 443\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse(header.as_bytes(), ProxyProtocol::Any), Err(Invalid), "{header}");
        }
        let endless = format!("PROXY UNKNOWN {}", "x".repeat(V1_MAX));
        assert_eq!(parse(endless.as_bytes(), ProxyProtocol::Any), Err(Invalid));
    }

    #[test]
    fn a_version_2_header_names_both_ends_at_every_cut() {
        let mut body = Vec::new();
        body.extend([192, 0, 2, 1, 198, 51, 100, 2]);
        body.extend([0xdc, 0x04, 0x01, 0xbb]);
        body.extend([3, 0, 4, 1, 2, 3, 4]);
        let header = v2(1, 0x11, &body);
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut], ProxyProtocol::Any), Ok(None), "{cut}");
        }
        let named = Some(("192.0.2.1:56324".parse().unwrap(), "198.51.100.2:443".parse().unwrap()));
        assert_eq!(parse(&header, ProxyProtocol::V2), Ok(Some((named, header.len()))));
        assert_eq!(parse(&v2(0, 0, &[]), ProxyProtocol::V2), Ok(Some((None, 16))));
        assert_eq!(parse(&v2(1, 0x11, &[1, 2, 3]), ProxyProtocol::V2), Err(Invalid));
        assert_eq!(parse(&v2(2, 0x11, &body), ProxyProtocol::V2), Err(Invalid));
        assert_eq!(parse(&v2(1, 0x21, &[0; 36]), ProxyProtocol::V2).map(|found| found.is_some()), Ok(true));
        assert_eq!(parse(&v2(1, 0x11, &[0; V2_MAX]), ProxyProtocol::V2), Err(Invalid));
    }

    #[test]
    fn a_version_that_the_listener_does_not_take_is_refused() {
        assert_eq!(parse(b"PROXY UNKNOWN\r\n", ProxyProtocol::V2), Err(Invalid));
        assert_eq!(parse(&v2(0, 0, &[]), ProxyProtocol::V1), Err(Invalid));
    }
}
