use std::collections::{BTreeMap, BTreeSet};

use perigee_model::{
    AcceleratorName, CustomRoutingAccelerator, CustomRoutingEndpoint, CustomRoutingEndpointGroup,
    CustomRoutingListener, DestinationConfiguration, RegionIndex, Snapshot, Subnet, SubnetId, SubnetIndex, TrafficRule,
    TrafficScope, fixtures,
};
use proptest::prelude::*;

use super::*;

/// Two regions and eight subnets, four of each, /28 to /25.
fn snapshot() -> Snapshot {
    let subnet = |i: u8| Subnet {
        id: SubnetId::new(&format!("subnet-{i:08x}")),
        region: RegionIndex(usize::from(i / 4)),
        cidr: format!("10.0.{i}.0/{}", 28 - i % 4).parse().unwrap(),
    };
    Snapshot { subnets: (0..8).map(subnet).collect(), ..fixtures::snapshot(&["a", "b"]) }
}

fn range(from_port: u16, to_port: u16) -> PortRange {
    PortRange { from_port, to_port }
}

fn configuration(from: u16, to: u16) -> DestinationConfiguration {
    DestinationConfiguration { port_range: range(from, to), protocols: Protocols { tcp: true, udp: true } }
}

fn endpoint(subnet: usize) -> CustomRoutingEndpoint {
    CustomRoutingEndpoint { subnet: SubnetIndex(subnet), traffic: Vec::new() }
}

/// A listener with a group in the first region: these subnets, with this many destination ports from 7000 on.
fn listener(port_ranges: Vec<PortRange>, subnets: &[usize], ports: u16) -> CustomRoutingListener {
    CustomRoutingListener {
        port_ranges,
        endpoint_groups: vec![CustomRoutingEndpointGroup {
            region: RegionIndex(0),
            destination_configurations: vec![configuration(7000, 6999 + ports)],
            endpoints: subnets.iter().map(|s| endpoint(*s)).collect(),
        }],
    }
}

fn accelerator(listeners: Vec<CustomRoutingListener>) -> CustomRoutingAccelerator {
    CustomRoutingAccelerator {
        name: AcceleratorName::new("game"),
        addresses: [[127, 75, 3, 1].into(), [127, 99, 84, 1].into()],
        enabled: true,
        listeners,
    }
}

fn one(ranges: &[(u16, u16)], subnets: &[usize], ports: u16) -> CustomRoutingAccelerator {
    accelerator(vec![listener(ranges.iter().map(|(a, b)| range(*a, *b)).collect(), subnets, ports)])
}

fn blocks(mapping: &Mapping) -> Vec<Vec<(u16, u16)>> {
    let ports = |a: &Allocation| a.blocks().iter().map(|b| (b.ports.from_port, b.ports.to_port)).collect();
    mapping.allocations().iter().map(ports).collect()
}

#[test]
fn t19_a_24_with_ten_ports_needs_2510_ports() {
    let mut snapshot = snapshot();
    snapshot.subnets[0].cidr = "10.0.0.0/24".parse().unwrap();
    let at = EndpointPosition { listener: 0, group: 0, endpoint: 0 };
    let refused = Mapping::new(&snapshot, &one(&[(10_001, 12_509)], &[0], 10));
    assert_eq!(refused, Err(vec![MappingError::LimitExceeded { at, needed: 2_510, free: 2_509 }]));
    let mapping = Mapping::new(&snapshot, &one(&[(10_001, 12_510)], &[0], 10)).unwrap();
    assert_eq!(blocks(&mapping), [[(10_001, 12_510)]]);
    let row = |port| mapping.destination(port).map(|d| d.address.to_string());
    assert_eq!(row(10_001).as_deref(), Some("10.0.0.4:7000"), "the first four addresses are reserved");
    assert_eq!(row(10_010).as_deref(), Some("10.0.0.4:7009"), "ports are minor");
    assert_eq!(row(10_011).as_deref(), Some("10.0.0.5:7000"), "addresses are major");
    assert_eq!(row(12_510).as_deref(), Some("10.0.0.254:7009"), "the last address is reserved");
    assert_eq!((row(10_000), row(12_511), row(0), row(u16::MAX)), (None, None, None, None));
}

#[test]
fn a_subnet_goes_where_it_fits_whole_and_in_pieces_only_where_it_fits_nowhere() {
    // /28, /27 and /26: 11, 27 and 59 ports.
    let mapping = Mapping::new(&snapshot(), &one(&[(100, 119), (200, 299)], &[1, 0, 2], 1)).unwrap();
    assert_eq!(blocks(&mapping), [vec![(200, 226)], vec![(100, 110)], vec![(227, 285)]]);
    let mapping = Mapping::new(&snapshot(), &one(&[(100, 119), (200, 249)], &[2], 1)).unwrap();
    assert_eq!(blocks(&mapping), [[(100, 119), (200, 238)]]);
    let address = |port| mapping.destination(port).unwrap().address.ip().octets()[3];
    assert_eq!((address(119), address(200)), (23, 24), "the second piece goes on where the first ends");
}

#[test]
fn ports_of_a_subnet_that_is_gone_are_given_to_the_next() {
    let snapshot = snapshot();
    let mapping = Mapping::new(&snapshot, &one(&[(100, 149)], &[0, 1, 0], 1)).unwrap();
    assert_eq!(blocks(&mapping), [[(100, 110)], [(111, 137)], [(138, 148)]]);
    let mapping = mapping.next(&snapshot, &one(&[(100, 149)], &[1], 1)).unwrap();
    assert_eq!(blocks(&mapping), [[(111, 137)]]);
    let mapping = mapping.next(&snapshot, &one(&[(100, 149)], &[0, 1], 1)).unwrap();
    assert_eq!(blocks(&mapping), [[(100, 110)], [(111, 137)]], "whoever comes first in the file");
}

#[test]
fn a_listener_may_grow_and_go_but_not_shrink_move_or_be_shared_out() {
    let snapshot = snapshot();
    let mapping = Mapping::new(&snapshot, &one(&[(100, 149), (200, 219)], &[0], 1)).unwrap();
    for grown in [vec![(100, 149), (200, 230)], vec![(90, 300)], vec![(400, 500), (200, 219), (100, 149)]] {
        let next = mapping.next(&snapshot, &one(&grown, &[0], 1)).unwrap();
        assert_eq!(blocks(&next), [[(100, 110)]], "{grown:?}");
    }
    let shrunk = |range| Err(vec![MappingError::Shrunk { listener: 0, range }]);
    assert_eq!(mapping.next(&snapshot, &one(&[(101, 149), (200, 219)], &[0], 1)), shrunk(range(100, 149)));
    assert_eq!(mapping.next(&snapshot, &one(&[(100, 149)], &[0], 1)), shrunk(range(200, 219)));
    let two = accelerator(vec![listener(vec![range(100, 149)], &[0], 1), listener(vec![range(200, 219)], &[], 1)]);
    let both = [range(100, 149), range(200, 219)].map(|range| MappingError::Shrunk { listener: 0, range });
    assert_eq!(mapping.next(&snapshot, &two), Err(both.to_vec()));
    assert!(mapping.next(&snapshot, &accelerator(vec![])).unwrap().is_empty());
}

#[test]
fn a_subnet_that_stays_keeps_its_ports_or_the_change_is_refused() {
    let mut snapshot = snapshot();
    let mapping = Mapping::new(&snapshot, &one(&[(100, 149)], &[0, 1], 1)).unwrap();
    let remapped = |endpoint, first_port| {
        let at = EndpointPosition { listener: 0, group: 0, endpoint };
        Err(vec![MappingError::Remapped { at, first_port }])
    };
    let moved = accelerator(vec![listener(vec![range(500, 549)], &[1], 1)]);
    assert_eq!(mapping.next(&snapshot, &moved), remapped(0, 111), "a listener that moved takes no subnet along");
    let mut other = one(&[(100, 149)], &[1], 1);
    other.listeners[0].endpoint_groups[0].destination_configurations = vec![configuration(8000, 8000)];
    assert_eq!(mapping.next(&snapshot, &other), remapped(0, 111), "a group's destinations do not change");
    snapshot.subnets[1].cidr = "10.9.0.0/27".parse().unwrap();
    assert_eq!(mapping.next(&snapshot, &one(&[(100, 149)], &[0, 1], 1)), remapped(1, 111));
    let gone = mapping.next(&snapshot, &one(&[(100, 149)], &[0], 1)).unwrap();
    assert!(gone.next(&snapshot, &other).is_ok(), "in two steps it may");
}

#[test]
fn what_is_allowed_may_change_without_a_port_that_does() {
    let snapshot = snapshot();
    let mut allowed = one(&[(100, 149)], &[0], 1);
    let mapping = Mapping::new(&snapshot, &allowed).unwrap();
    assert!(mapping.rows(0).all(|row| row.state == TrafficState::Deny));
    let state = TrafficState::Allow;
    let some = TrafficScope::Destinations { addresses: vec![[10, 0, 0, 5].into()], ports: vec![] };
    allowed.listeners[0].endpoint_groups[0].endpoints[0].traffic = vec![TrafficRule { state, scope: some }];
    let next = mapping.next(&snapshot, &allowed).unwrap();
    assert_eq!(blocks(&next), blocks(&mapping));
    let open: Vec<u16> = next.rows(0).filter(|r| r.state == state).map(|r| r.accelerator_port).collect();
    assert_eq!((open, next.allocations()[0].allowed()), (vec![101], 1));
}

#[test]
fn the_largest_accelerator_is_a_few_blocks() {
    let mut snapshot = snapshot();
    snapshot.subnets[0].cidr = "10.128.0.0/17".parse().unwrap();
    let mapping = Mapping::new(&snapshot, &one(&[(1, 65_535)], &[0], 2)).unwrap();
    assert_eq!((mapping.len(), mapping.by_port.len()), (65_526, 1));
    assert_eq!(mapping.rows(65_000).count(), 527);
    let too_many = Mapping::new(&snapshot, &one(&[(1, 65_535)], &[0], 50_000)).unwrap_err();
    assert!(matches!(too_many[..], [MappingError::LimitExceeded { needed: 1_638_150_000, .. }]));
}

/// One change of a configuration.
#[derive(Clone, Copy, Debug)]
enum Change {
    Add { listener: usize, group: usize, subnet: usize },
    Remove { listener: usize, group: usize, at: usize },
    Grow { listener: usize, by: u16 },
    AddListener,
    RemoveListener { listener: usize },
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        5 => (0..3_usize, 0..2_usize, 0..8_usize)
            .prop_map(|(listener, group, subnet)| Change::Add { listener, group, subnet }),
        3 => (0..3_usize, 0..2_usize, 0..4_usize)
            .prop_map(|(listener, group, at)| Change::Remove { listener, group, at }),
        2 => (0..3_usize, 1..40_u16).prop_map(|(listener, by)| Change::Grow { listener, by }),
        1 => Just(Change::AddListener),
        1 => (0..3_usize).prop_map(|listener| Change::RemoveListener { listener }),
    ]
}

/// A listener whose ports are in a thousand of their own, in two ranges; it has a group in each region.
fn roomy(number: u16) -> CustomRoutingListener {
    let base = 1_000 * number;
    let group = |region: usize, to| CustomRoutingEndpointGroup {
        region: RegionIndex(region),
        destination_configurations: vec![configuration(80, 80), configuration(443, to)],
        endpoints: Vec::new(),
    };
    CustomRoutingListener {
        port_ranges: vec![range(base, base + 60), range(base + 100, base + 180)],
        endpoint_groups: vec![group(0, 443), group(1, 444)],
    }
}

/// The configuration after a change, or none where it does not apply.
fn changed(before: &CustomRoutingAccelerator, change: Change, next: &mut u16) -> Option<CustomRoutingAccelerator> {
    let mut after = before.clone();
    match change {
        Change::Add { listener, group, subnet } => {
            let group = &mut after.listeners.get_mut(listener)?.endpoint_groups[group];
            if subnet / 4 != group.region.0 || group.endpoints.iter().any(|e| e.subnet.0 == subnet) {
                return None;
            }
            // At the front, where an order of the file alone would move everybody else.
            group.endpoints.insert(0, endpoint(subnet));
        }
        Change::Remove { listener, group, at } => {
            let endpoints = &mut after.listeners.get_mut(listener)?.endpoint_groups[group].endpoints;
            (at < endpoints.len()).then(|| endpoints.remove(at))?;
        }
        Change::Grow { listener, by } => {
            let range = after.listeners.get_mut(listener)?.port_ranges.last_mut()?;
            range.to_port = (range.to_port + by).min(range.from_port / 1_000 * 1_000 + 999);
        }
        Change::AddListener => {
            if after.listeners.len() == 3 {
                return None;
            }
            *next += 1;
            after.listeners.insert(0, roomy(*next));
        }
        Change::RemoveListener { listener } => {
            (listener < after.listeners.len()).then(|| after.listeners.remove(listener))?;
        }
    }
    Some(after)
}

/// (listener's first port, subnet) of every endpoint, which survives changes of positions.
fn endpoints(of: &CustomRoutingAccelerator) -> Vec<(u16, usize, u64)> {
    let snapshot = snapshot();
    let listeners = of.listeners.iter().flat_map(|l| l.endpoint_groups.iter().map(move |g| (l, g)));
    listeners
        .flat_map(|(l, g)| {
            let needed = |s: SubnetIndex| ports_needed(snapshot.subnet(s).cidr, &g.destination_configurations);
            g.endpoints.iter().map(move |e| (l.port_ranges[0].from_port, e.subnet.0, needed(e.subnet)))
        })
        .collect()
}

/// The map as a table, by listener and destination.
fn table(mapping: &Mapping) -> BTreeMap<(u16, SocketAddrV4), u16> {
    mapping.rows(0).map(|row| ((row.accelerator_port / 1_000, row.address), row.accelerator_port)).collect()
}

/// What must hold of every map: one port for one destination, found in both directions, within the listener.
fn is_a_bijection(mapping: &Mapping, of: &CustomRoutingAccelerator) {
    let rows: Vec<Destination<'_>> = mapping.rows(0).collect();
    assert!(rows.is_sorted_by(|a, b| a.accelerator_port < b.accelerator_port));
    assert_eq!(rows.len() as u64, endpoints(of).iter().map(|(.., needed)| needed).sum::<u64>());
    assert_eq!(rows.len(), mapping.len() as usize);
    let mut seen = BTreeSet::new();
    for row in &rows {
        let at = row.allocation.at;
        assert!(of.listeners[at.listener].listens_on(row.accelerator_port));
        assert!(seen.insert((at, row.address)), "{row:?} is there twice");
        assert_eq!(mapping.destination(row.accelerator_port), Some(*row));
        assert_eq!(mapping.rows_to(*row.address.ip()).filter(|r| r == row).count(), 1);
        assert!(mapping.ports_to(row.address).any(|port| port == row.accelerator_port));
    }
    let mapped: BTreeSet<u16> = rows.iter().map(|r| r.accelerator_port).collect();
    for port in (0..4_000).filter(|p| !mapped.contains(p)) {
        assert_eq!(mapping.destination(port), None);
    }
    let from = rows.len() / 2;
    assert!(rows.get(from).is_none_or(|row| mapping.rows(row.accelerator_port).eq(rows[from..].iter().copied())));
}

/// First fit of one listener, the long way: a table of its ports.
fn first_fit(ports: &BTreeSet<u16>, taken: &BTreeSet<u16>, count: usize) -> Vec<u16> {
    let free: Vec<u16> = ports.difference(taken).copied().collect();
    let run = free.windows(count.max(1)).find(|run| usize::from(run[run.len() - 1] - run[0]) + 1 == run.len());
    run.map_or_else(|| free[..count].to_vec(), <[u16]>::to_vec)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_stays_is_ever_disturbed(changes in prop::collection::vec(change(), 1..30)) {
        let snapshot = snapshot();
        let mut number = 1;
        let mut now = accelerator(vec![roomy(number)]);
        let mut mapping = Mapping::new(&snapshot, &now).unwrap();
        for change in changes {
            let Some(after) = changed(&now, change, &mut number) else { continue };
            let next = mapping.next(&snapshot, &after);
            // A subnet fits exactly when there are ports enough for all: history cannot make it fail.
            let fits = after.listeners.iter().all(|l| {
                let needed: u64 = endpoints(&accelerator(vec![l.clone()])).iter().map(|(.., needed)| needed).sum();
                needed <= u64::from(l.port_ranges.iter().map(|r| r.to_port - r.from_port + 1).sum::<u16>())
            });
            prop_assert_eq!(next.is_ok(), fits);
            let Ok(next) = next else { continue };
            is_a_bijection(&next, &after);
            let (was, is) = (table(&mapping), table(&next));
            let (before, stay) = (endpoints(&now), endpoints(&after));
            for ((thousand, address), port) in was {
                let subnet = usize::from(address.ip().octets()[2]);
                let has = |list: &[(u16, usize, u64)]| list.iter().any(|(l, s, _)| (l / 1_000, *s) == (thousand, subnet));
                prop_assert!(has(&before));
                prop_assert_eq!(is.get(&(thousand, address)).copied(), has(&stay).then_some(port));
            }
            (now, mapping) = (after, next);
        }
    }

    #[test]
    fn a_cold_start_is_first_fit_in_the_order_of_the_file(subnets in prop::collection::vec(0..4_usize, 0..5)) {
        let listener = roomy(1);
        let ports: BTreeSet<u16> = listener.port_ranges.iter().flat_map(|r| r.from_port..=r.to_port).collect();
        let mut of = accelerator(vec![listener]);
        let (mut expected, mut taken) = (Vec::new(), BTreeSet::new());
        for subnet in subnets {
            let needed = 2 * (256 >> (4 - subnet % 4)) - 10;
            if taken.len() + needed > ports.len() {
                continue;
            }
            of.listeners[0].endpoint_groups[0].endpoints.push(endpoint(subnet));
            let found = first_fit(&ports, &taken, needed);
            taken.extend(&found);
            expected.push(found);
        }
        let mapping = Mapping::new(&snapshot(), &of).unwrap();
        let got: Vec<Vec<u16>> = mapping
            .allocations()
            .iter()
            .map(|a| a.blocks().iter().flat_map(|b| b.ports.from_port..=b.ports.to_port).collect())
            .collect();
        prop_assert_eq!(got, expected);
    }
}
