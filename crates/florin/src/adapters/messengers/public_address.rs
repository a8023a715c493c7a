//! Keeps requests to addresses that customers or partners chose away from the bank's own network: what a name leads to is
//! looked at when it is used, so that no later change of the name gets around it.

use super::names::Names;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Looks names up, and gives only addresses that everybody can reach.
pub(super) struct PublicNames(pub(super) Names);

/// A name or address leads into a network that is not public.
#[derive(Clone, Copy, Debug)]
pub(super) struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not public")
    }
}

impl std::error::Error for NotPublic {}

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        let names = self.0.clone();
        Box::pin(async move {
            let found = names.look_up(name.as_str()).await?.into_iter();
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            match public.is_empty() {
                true => Err(NotPublic.into()),
                false => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

/// Whether a URL names an address, rather than a name, that is not public: addresses are not looked up.
pub(super) fn names_private_address(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.parse().is_ok_and(|address| !is_public(address))
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [first, second, third, _] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    let is_reserved = first == 0 || 240 <= first || (first == 198 && second & 0xfe == 18);
    let is_of_protocols = first == 192 && second == 0 && third == 0;
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_documentation()
        || address.is_multicast()
        || is_shared
        || is_reserved
        || is_of_protocols)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Everything that is given out to be reached begins with 001; what carries an older address in it is judged by that.
    let is_global = segments[0] & 0xe000 == 0x2000;
    let is_documentation = segments[0] == 0x2001 && segments[1] == 0xdb8;
    let [high, low] = [segments[1], segments[2]].map(u16::to_be_bytes);
    let is_6to4_of_private = segments[0] == 0x2002 && !is_public_v4(Ipv4Addr::new(high[0], high[1], low[0], low[1]));
    let is_teredo = segments[0] == 0x2001 && segments[1] == 0;
    is_global && !is_documentation && !is_6to4_of_private && !is_teredo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_everybody_can_reach_are_public() {
        for public in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for private in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
        ] {
            assert!(!is_public(private.parse().expect("an address")), "{private}");
        }
        for url in ["http://127.0.0.1/", "http://[::1]:80/", "http://2130706433/", "http://0x7f.1/"] {
            assert!(names_private_address(&url.parse().expect("a URL")), "{url}");
        }
        assert!(!names_private_address(&"https://bank.example/".parse().expect("a URL")));
    }
}
