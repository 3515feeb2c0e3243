use std::net::IpAddr;

/// A further draw made of one: SplitMix64's output function over draw and salt (Steele, Lea and Flood, OOPSLA 2014).
pub(super) fn split(draw: u64, salt: u64) -> u64 {
    let mut z = draw.wrapping_add(salt.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number below `bound` from a draw; the bias is below `bound` / 2^64.
pub(super) fn below(draw: u64, bound: u64) -> u64 {
    ((u128::from(draw) * u128::from(bound)) >> 64) as u64
}

/// The bound of hashed client prefixes: /24 and /48 (`spec/dns.md` section 4.3, points 5 and 6).
pub(super) fn prefix_bound(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 48 }
}

/// The address with the bits behind `prefix_len` cleared.
pub(super) fn cut(address: IpAddr, prefix_len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix_len.into())).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix_len.into())).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}
