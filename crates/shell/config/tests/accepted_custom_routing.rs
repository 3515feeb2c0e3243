//! Custom routing accelerators as they are written, and what is made of them.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use std::net::Ipv4Addr;

use perigee_config::Layers;
use perigee_custom_routing::Mapping;
use perigee_model::{Protocols, Snapshot, SubnetIndex, TrafficRule, TrafficScope, TrafficState, TransportProtocol};
use proptest::prelude::*;

const MAIN: &str = r#"
[custom_routing_accelerators.game]
addresses = ["127.75.3.1", "127.99.84.1"]
[[custom_routing_accelerators.game.listeners]]
port_ranges = [{ from_port = 10001, to_port = 12510 }, { from_port = 20000, to_port = 20100 }]
[[custom_routing_accelerators.game.listeners.endpoint_groups]]
region = "ap-northeast-2"
destination_configurations = [
    { from_port = 9000, to_port = 9007, protocols = ["TCP"] },
    { from_port = 9100, to_port = 9101, protocols = ["TCP"] },
]
endpoints = [{ endpoint_id = "subnet-0123456789abcdef0", traffic = "ALLOW", allow = [
    { addresses = ["127.82.16.4"] },
], deny = [
    { addresses = ["127.82.16.5", "127.82.16.6"], ports = [9000, 9101] },
] }]
[[custom_routing_accelerators.game.listeners.endpoint_groups]]
endpoint_group_region = "ap-northeast-1"
destination_configurations = [{ from_port = 7777, to_port = 7777, protocols = ["TCP"] }]
endpoints = [{ endpoint_id = "subnet-0000aaaa" }, { endpoint_id = "subnet-0000bbbb" }]
"#;

const TOKYO: &str = r#"
[[zones]]
name = "ap-northeast-1a"
[subnets.subnet-0000bbbb]
cidr = "127.81.17.0/27"
[subnets.subnet-0000aaaa]
cidr = "127.81.16.0/28"
"#;

const SEOUL: &str = r#"
[[zones]]
name = "ap-northeast-2a"
[subnets.subnet-0123456789abcdef0]
cidr = "127.82.16.0/24"
"#;

fn load(main: &str) -> Option<Snapshot> {
    let regions = [("ap-northeast-1", TOKYO), ("ap-northeast-2", SEOUL)];
    Layers::from_strings(Some(main), &regions).load().ok().map(|config| config.snapshot)
}

#[test]
fn t19_a_24_with_ten_ports_fits_in_2510_ports() {
    let s = load(MAIN).unwrap();
    let accelerator = &s.custom_routing_accelerators[0];
    assert_eq!((accelerator.name.as_str(), accelerator.enabled), ("game", true));
    assert_eq!(accelerator.addresses, [Ipv4Addr::new(127, 75, 3, 1), Ipv4Addr::new(127, 99, 84, 1)]);
    let mapping = Mapping::new(&s, accelerator).unwrap();
    let blocks = |i: usize| mapping.allocations()[i].blocks().iter().map(|b| b.ports).collect::<Vec<_>>();
    let port = |range: perigee_model::PortRange| (range.from_port, range.to_port);
    assert_eq!(blocks(0).into_iter().map(port).collect::<Vec<_>>(), [(10_001, 12_510)]);
    assert_eq!(blocks(1).into_iter().map(port).collect::<Vec<_>>(), [(20_000, 20_010)]);
    assert_eq!(mapping.destination(20_011).unwrap().address, "127.81.17.4:7777".parse().unwrap());
}

#[test]
fn subnets_have_the_order_of_regions_and_identifiers_and_rules_that_of_their_power() {
    let s = load(MAIN).unwrap();
    let ids: Vec<&str> = s.subnets.iter().map(|s| s.id.as_str()).collect();
    assert_eq!(ids, ["subnet-0000aaaa", "subnet-0000bbbb", "subnet-0123456789abcdef0"]);
    let groups = &s.custom_routing_accelerators[0].listeners[0].endpoint_groups;
    assert_eq!(groups[0].destination_configurations[1].protocols, Protocols { tcp: true, udp: false });
    let endpoint = &groups[0].endpoints[0];
    assert_eq!(endpoint.subnet, SubnetIndex(2));
    let rule = |state, addresses: &[u8], ports: &[u16]| TrafficRule {
        state,
        scope: TrafficScope::Destinations {
            addresses: addresses.iter().map(|last| Ipv4Addr::new(127, 82, 16, *last)).collect(),
            ports: ports.to_vec(),
        },
    };
    assert_eq!(
        endpoint.traffic,
        [
            TrafficRule { state: TrafficState::Allow, scope: TrafficScope::Subnet },
            rule(TrafficState::Allow, &[4], &[]),
            rule(TrafficState::Deny, &[5, 6], &[9000, 9101]),
        ]
    );
    assert!(groups[1].endpoints.iter().all(|e| e.traffic.is_empty()), "the default is DENY");
}

#[test]
fn a_disabled_accelerator_keeps_its_map() {
    let s = load(&MAIN.replace("addresses = [\"127.75", "enabled = false\naddresses = [\"127.75")).unwrap();
    assert!(!s.custom_routing_accelerators[0].enabled);
    assert_eq!(Mapping::new(&s, &s.custom_routing_accelerators[0]).unwrap().len(), 2_510 + 11 + 27);
    assert_eq!(s.edge_sockets(TransportProtocol::Tcp).count(), 0);
    assert_eq!(load(MAIN).unwrap().edge_sockets(TransportProtocol::Tcp).count(), 2 * (2_510 + 101));
    assert_eq!(load(MAIN).unwrap().edge_sockets(TransportProtocol::Udp).count(), 0, "no destination speaks UDP");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// What the configuration accepts the core can map: the two count ports alike.
    #[test]
    fn what_is_accepted_can_be_mapped(to_port in 10_016..12_600_u16, ports in 1..12_u16, more in 0..5_u16) {
        let main = MAIN
            .replace("to_port = 12510", &format!("to_port = {to_port}"))
            .replace("to_port = 9007", &format!("to_port = {}", 8_999 + ports))
            .replace("from_port = 7777, to_port = 7777", &format!("from_port = 7777, to_port = {}", 7_777 + more));
        let deny = format!("[9000, {}]", 8_999 + ports);
        let main = main.replace("[9000, 9101]", &deny);
        let ports = u32::from(ports) + 2;
        let (needed, free) = (251 * ports + 38 * (u32::from(more) + 1), u32::from(to_port) - 10_000 + 101);
        let snapshot = load(&main);
        prop_assert_eq!(snapshot.is_some(), needed <= free);
        if let Some(s) = snapshot {
            let mapping = Mapping::new(&s, &s.custom_routing_accelerators[0]);
            prop_assert_eq!(mapping.map(|m| m.len()), Ok(needed));
        }
    }
}

/// The lines of a shipped file from `start` on, without their comment signs.
fn example(file: &str, start: &str) -> String {
    let lines = file.lines().skip_while(|line| *line != start).map_while(|line| line.strip_prefix("# "));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

#[test]
fn the_example_of_the_shipped_files_is_accepted() {
    let main = include_str!("../../../../perigee.toml");
    let region = include_str!("../../../../regions/ap-northeast-2.toml");
    let subnet = example(region, "# [subnets.subnet-0000aaaa]");
    let main = example(main, "# [custom_routing_accelerators.game]");
    let config = Layers::from_strings(Some(&main), &[("ap-northeast-2", &format!("{region}\n{subnet}"))]).load();
    let s = config.unwrap().snapshot;
    let mapping = Mapping::new(&s, &s.custom_routing_accelerators[0]).unwrap();
    assert_eq!((mapping.len(), mapping.allocations()[0].allowed()), (2_510, 2));
}
