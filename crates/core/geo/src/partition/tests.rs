use proptest::prelude::*;

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn at(partition: &Partition, address: &str) -> (u32, u8) {
    partition.get(address.parse().unwrap())
}

#[test]
fn a_hole_inside_a_network_is_never_covered_by_a_scope() {
    let networks = [(net("10.0.0.0/8"), 1), (net("10.1.2.0/24"), 2)];
    let partition = Partition::of_networks(&networks, 0);
    assert_eq!(at(&partition, "10.1.2.3"), (2, 24));
    assert_eq!(at(&partition, "10.1.3.3"), (1, 24));
    assert_eq!(at(&partition, "10.128.0.0"), (1, 9));
    assert_eq!(at(&partition, "128.0.0.0"), (0, 1));
    assert_eq!(at(&partition, "8000::1"), (0, 1), "the other half of IPv6 holds the transition addresses");
    assert_eq!(at(&partition, "::ffff:10.1.2.3"), (2, 96 + 24));
    assert_eq!(at(&partition, "2002:0a01:0203::1"), (2, 16 + 24));
}

#[test]
fn one_class_everywhere_has_scope_zero_even_for_transition_addresses() {
    let partition = Partition::of_networks(&[], 7);
    for address in ["1.2.3.4", "2001:db8::1", "::ffff:1.2.3.4"] {
        assert_eq!(at(&partition, address), (7, 0), "{address}");
    }
}

/// The definition: the longest network around the address, and the shortest prefix in which that never changes.
fn defined(networks: &[(IpNet, u32)], address: u32) -> (u32, u8) {
    let class = |bits: u32| {
        let ip = IpAddr::from(bits.to_be_bytes());
        let around = networks.iter().filter(|(net, _)| net.contains(&ip));
        around.reduce(|a, b| if b.0.prefix_len() > a.0.prefix_len() { b } else { a }).map_or(0, |(_, class)| *class)
    };
    let mine = class(address);
    let uniform = |len: u8| {
        let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
        let (first, last) = (address & mask, (address & mask) | !mask);
        // A class can only change where a network begins or behind its end.
        let edges = networks.iter().flat_map(|(net, _)| [bits(net.network()), bits(net.broadcast()) + 1]);
        let inside = edges.filter_map(|e| u32::try_from(e).ok()).filter(|e| (first..=last).contains(e));
        inside.chain([first, last]).all(|e| class(e) == mine)
    };
    (mine, (0..=32).find(|len| uniform(*len)).unwrap())
}

fn bits(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(v4) => v4.to_bits().into(),
        IpAddr::V6(_) => unreachable!(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn class_and_scope_are_those_of_the_definition(
        // Few bits, so that networks nest and share borders; enough of them that the trie is used.
        raw in prop::collection::vec((0_u32..4096, 1_u8..=32, 1_u32..5), 0..120),
        asked in prop::collection::vec((0_u32..4096, any::<u8>()), 30),
    ) {
        let spread = |v: u32| (v << 20) | ((v & 0xff) << 8) | (v & 0x0f);
        let networks: Vec<(IpNet, u32)> = raw.iter()
            .map(|(v, len, class)| (IpNet::new(IpAddr::from(spread(*v).to_be_bytes()), *len).unwrap().trunc(), *class))
            .collect();
        let partition = Partition::of_networks(&networks, 0);
        for (v, low) in asked {
            let address = spread(v) ^ u32::from(low & 3);
            prop_assert_eq!(partition.get(IpAddr::from(address.to_be_bytes())), defined(&networks, address));
        }
    }
}
