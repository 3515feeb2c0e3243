//! The world that messages are checked in: every kind of name, in zones without and with signatures.

use std::sync::Arc;
use std::time::Duration;

use perigee_dataplane::Edge;
use perigee_dns::{Responder, check_zones};
use perigee_health::Forced;
use perigee_model::dns::{
    BranchKey, DnsCheckKind, DnsHealthCheck, GeoLocation, HostedZone, Policy, PolicyBranch, PolicyGroup, PolicyName,
    PolicyNode, PolicyRecord, RecordTarget, RecordValues, SigningAlgorithm, WeightedDraw, ZoneFile, ZoneSigning,
};
use perigee_model::{
    AcceleratorIndex, HealthCheckIndex, Instant, LoadBalancerIndex, LoadBalancerName, Location, PolicyNameIndex,
    PolicyNodeIndex, RegionIndex, Snapshot, ZoneIndex,
};

use super::world::{base, responder};

/// The zones beside the built-in one, in the order that a snapshot has them in.
const ZONES: [&str; 4] = ["nsec3.test", "parity.test", "signed.test", "zone.test"];

const FILE: &str = "$TTL 300\n\
    @ MX 10 mail\n@ TXT \"hello\" \"world\"\nmail A 192.0.2.25\nmail AAAA 2001:db8::25\n\
    www CNAME mail\nloop1 CNAME loop2\nloop2 CNAME loop1\nto CNAME weighted\nout CNAME www.example.com.\n\
    *.any TXT any\n*.alias CNAME failover\na.b.c A 192.0.2.9\n\
    sub NS ns.sub\nsub NS ns.example.com.\nns.sub A 192.0.2.53\n\
    sub DS 12345 13 2 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
    moved DNAME any\nsvc HTTPS 1 . alpn=h2,h3 port=8443\nsvc SVCB 0 mail\n_sip._tcp SRV 1 2 5060 mail\n\
    raw TYPE65280 \\# 4 01020304\n";

/// A server whose regions and health checks are all healthy, or all not.
pub fn server(healthy: bool) -> Responder {
    let (snapshot, atlas) = base();
    let mut snapshot = snapshot.clone();
    plan(&mut snapshot);
    assert_eq!(check_zones(&snapshot), [], "the world of the check itself");
    let mut edge = Edge::new(Arc::new(snapshot), atlas.clone(), None, Instant::START);
    let forced = if healthy { Forced::Healthy } else { Forced::Unhealthy };
    let codes: Vec<_> = edge.view().snapshot.regions.iter().map(|region| region.code.clone()).collect();
    for code in codes {
        edge.force(&code, &LoadBalancerName::new("shop"), Some(forced));
    }
    let mut view = (**edge.view()).clone();
    view.set_checks(vec![healthy]);
    responder(Arc::new(view))
}

fn plan(snapshot: &mut Snapshot) {
    let server = &mut snapshot.dns.server;
    // All that a query may ask for, and cookies that a corpus can hold good ones of.
    server.identity = Some("fuzz".into());
    server.chaos = true;
    server.synthesized_error = true;
    server.cookie_secrets = vec![[1; 16], [2; 16]];
    let kind = DnsCheckKind::Calculated { threshold: 0, children: Vec::new() };
    snapshot.dns.health_checks = vec![DnsHealthCheck { name: "check".into(), kind, inverted: false, disabled: false }];
    // One set that no datagram holds, and one that only a signed answer makes too large.
    let many: String = (0..90).map(|i| format!("many A 192.0.2.{i}\n")).collect();
    let long: String = (0..5).map(|i| format!("long TXT {i}{}\n", "x".repeat(210))).collect();
    for (position, origin) in ZONES.into_iter().enumerate() {
        let signing = |algorithm, nsec3| Some(ZoneSigning { algorithm, key_directory: None, nsec3 });
        let zone = ZoneIndex(position + 1);
        snapshot.dns.zones.push(HostedZone {
            file: Some(ZoneFile { name: origin.into(), text: format!("{FILE}{many}{long}").into() }),
            client_subnet: origin != "nsec3.test",
            route53_parity: origin == "parity.test",
            signing: match origin {
                "nsec3.test" => signing(SigningAlgorithm::EcdsaP256Sha256, true),
                "signed.test" => signing(SigningAlgorithm::Ed25519, false),
                _ => None,
            },
            ..HostedZone::new(origin)
        });
        let first = snapshot.dns.policy_names.len();
        for (label, tree) in trees(origin, PolicyNameIndex(first)) {
            let root = plant(&mut snapshot.dns.policy_nodes, tree);
            snapshot.dns.policy_names.push(PolicyName { zone, name: format!("{label}.{origin}"), root });
        }
    }
}

enum Tree {
    Record(RecordTarget, Vec<RecordValues>),
    Group(Policy, Vec<(BranchKey, Self)>),
}

/// The names of one zone in order; the first will be at `first`.
fn trees(origin: &str, first: PolicyNameIndex) -> Vec<(&'static str, Tree)> {
    let at = |host: u8| {
        let v6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, host.into());
        let addresses = RecordTarget::Addresses(vec![[192, 0, 2, host].into(), v6.into()]);
        let values = |record_type: &str, value: &str| RecordValues {
            record_type: record_type.into(),
            values: vec![value.into()],
        };
        Tree::Record(addresses, vec![values("HTTPS", "1 . alpn=h2"), values("TXT", "chosen")])
    };
    let v4 = |host: u8| Tree::Record(RecordTarget::Addresses(vec![[192, 0, 2, host].into()]), Vec::new());
    let alias = |target| Tree::Record(target, Vec::new());
    let balancer = |index| alias(RecordTarget::LoadBalancer(LoadBalancerIndex(index)));
    let near = |latitude, longitude, bias| BranchKey::Proximity { location: Location { latitude, longitude }, bias };
    let geo = |location, host| (BranchKey::Location(location), at(host));
    let weights = || vec![(BranchKey::Weight(3), at(1)), (BranchKey::Weight(1), v4(2)), (BranchKey::Weight(0), at(3))];
    let sticky = Policy::Weighted { draw: WeightedDraw::PerClient };
    let regions = || (0..2).map(|i| (BranchKey::Region(RegionIndex(i)), balancer(i))).collect();
    let networks = |text: &str| BranchKey::Cidrs(text.split(' ').map(|net| net.parse().expect("a network")).collect());
    vec![
        ("*.tree", Tree::Group(sticky, weights())),
        ("accelerator", alias(RecordTarget::Accelerator(AcceleratorIndex(0)))),
        (
            "failover",
            Tree::Group(
                Policy::Failover,
                vec![(BranchKey::Primary, Tree::Group(Policy::Latency, regions())), (BranchKey::Secondary, at(9))],
            ),
        ),
        (
            "geo",
            Tree::Group(
                Policy::Geolocation,
                vec![
                    geo(GeoLocation::Country("KR".into()), 1),
                    geo(GeoLocation::Continent("AS".into()), 2),
                    geo(GeoLocation::Subdivision("CA".into()), 3),
                ],
            ),
        ),
        (
            "ip",
            Tree::Group(
                Policy::IpBased,
                vec![
                    (networks("168.126.0.0/16 2001:2b8::/32"), at(1)),
                    (networks("168.126.63.0/24 127.0.0.0/8"), v4(2)),
                    (BranchKey::AnyNetwork, at(3)),
                ],
            ),
        ),
        ("latency", Tree::Group(Policy::Latency, regions())),
        ("multi", Tree::Group(Policy::Multivalue, (0..12).map(|i| (BranchKey::Value, at(i))).collect())),
        ("name", alias(RecordTarget::Name(format!("www.{origin}")))),
        ("near", {
            let branches = vec![(near(37.5, 127.0, 20), at(1)), (near(35.6, 139.6, -40), v4(2))];
            Tree::Group(Policy::Geoproximity { legacy_bias: false }, branches)
        }),
        ("other", alias(RecordTarget::PolicyName(PolicyNameIndex(first.0 + 2)))),
        ("weighted", Tree::Group(Policy::Weighted { draw: WeightedDraw::PerQuery }, weights())),
    ]
}

/// Puts `tree` behind the nodes that there are, parents first; where it starts.
fn plant(nodes: &mut Vec<PolicyNode>, tree: Tree) -> PolicyNodeIndex {
    let index = nodes.len();
    match tree {
        Tree::Record(target, others) => {
            nodes.push(PolicyNode::Record(PolicyRecord { ttl: Duration::from_secs(40), target, others }));
        }
        Tree::Group(policy, trees) => {
            nodes.push(PolicyNode::Group(PolicyGroup { policy, branches: Vec::new() }));
            let mut branches = Vec::new();
            for (position, (key, tree)) in trees.into_iter().enumerate() {
                branches.push(PolicyBranch {
                    set_identifier: format!("set{position}"),
                    key,
                    node: plant(nodes, tree),
                    // The first of each group fails with the check.
                    health_check: (position == 0).then_some(HealthCheckIndex(0)),
                    evaluate_target_health: true,
                });
            }
            nodes[index] = PolicyNode::Group(PolicyGroup { policy, branches });
        }
    }
    PolicyNodeIndex(index)
}
