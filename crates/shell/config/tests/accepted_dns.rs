//! What is accepted of DNS: zones, trees of policies, health checks, the server's manners and sockets.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use std::path::Path;
use std::time::Duration;

use perigee_config::{Config, DnsCertificate, Layers, QueryLog, Sources, load};
use perigee_model::dns::{
    BranchKey, DnsCheckKind, DnsServer, EndpointProtocol, GeoLocation, Policy, PolicyBranch, PolicyGroup, PolicyNode,
    PolicyRecord, RecordTarget, SigningAlgorithm, WeightedDraw,
};
use perigee_model::{DnsZone, HealthCheckIndex, Location, PolicyNodeIndex, RegionIndex};

fn everything() -> Config {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accepted");
    load(&Sources { dir: Some(dir), ..Sources::default() }).unwrap_or_else(|problems| panic!("{problems}"))
}

fn accepted(main: &str) -> Config {
    Layers::from_strings(Some(main), &[]).load().unwrap_or_else(|problems| panic!("{problems}"))
}

fn group(dns: &DnsZone, index: PolicyNodeIndex) -> &PolicyGroup {
    match dns.policy_node(index) {
        PolicyNode::Group(group) => group,
        PolicyNode::Record(record) => panic!("a record: {record:?}"),
    }
}

fn record(dns: &DnsZone, index: PolicyNodeIndex) -> &PolicyRecord {
    match dns.policy_node(index) {
        PolicyNode::Record(record) => record,
        PolicyNode::Group(group) => panic!("a group: {group:?}"),
    }
}

fn root<'a>(dns: &'a DnsZone, name: &str) -> &'a PolicyNode {
    dns.policy_node(dns.policy_names.iter().find(|n| n.name == name).unwrap_or_else(|| panic!("no {name}")).root)
}

fn branches<'a>(dns: &'a DnsZone, name: &str) -> (Policy, &'a [PolicyBranch]) {
    match root(dns, name) {
        PolicyNode::Group(group) => (group.policy, &group.branches),
        PolicyNode::Record(record) => panic!("a record: {record:?}"),
    }
}

fn identifiers(branches: &[PolicyBranch]) -> Vec<&str> {
    branches.iter().map(|b| b.set_identifier.as_str()).collect()
}

const TOKYO: RegionIndex = RegionIndex(0);
const SEOUL: RegionIndex = RegionIndex(1);

#[test]
fn the_built_in_dns_has_its_defaults() {
    let config = load(&Sources::default()).unwrap();
    let dns = &config.snapshot.dns;
    let default = DnsZone { latency_names: dns.latency_names.clone(), ..DnsZone::new("perigee.test") };
    assert_eq!(*dns, default);
    assert_eq!(dns.server, DnsServer::default());
    let runtime = &config.runtime.dns;
    assert_eq!((runtime.workers, &runtime.certificate, &runtime.query_log), (0, &None, &None));
    assert_eq!((runtime.dot_listen, runtime.doh_listen, runtime.doq_listen), (None, None, None));
}

#[test]
fn zones_stand_in_order_of_their_origins_the_built_in_one_first() {
    let dns = everything().snapshot.dns;
    let origins: Vec<&str> = dns.zones.iter().map(|z| z.origin.as_str()).collect();
    assert_eq!(origins, ["lab.test", "eu.example.org", "example.org"]);
    let [built_in, eu, org] = dns.zones.as_slice() else { panic!("three zones") };
    assert!(built_in.route53_parity && !built_in.client_subnet && !eu.route53_parity && eu.client_subnet);
    let signing = built_in.signing.as_ref().unwrap();
    assert_eq!((signing.algorithm, signing.nsec3, &signing.key_directory), (SigningAlgorithm::Ed25519, false, &None));
    let signing = org.signing.as_ref().unwrap();
    assert_eq!((signing.algorithm, signing.nsec3), (SigningAlgorithm::EcdsaP256Sha256, true));
    assert!(eu.signing.is_none() && eu.file.is_none());
    let file = built_in.file.as_ref().unwrap();
    assert_eq!(file.name, "lab.zone");
    assert!(file.text.contains("printer.lab.test."));
}

#[test]
fn names_stand_in_order_of_zone_then_name() {
    let dns = everything().snapshot.dns;
    let names: Vec<(usize, &str)> = dns.policy_names.iter().map(|n| (n.zone.0, n.name.as_str())).collect();
    assert_eq!(
        names,
        [
            (0, "a.b.lab.test"),
            (0, "either.lab.test"),
            (0, "static.lab.test"),
            (2, "*.many.example.org"),
            (2, "example.org"),
            (2, "many.example.org"),
            (2, "near.example.org"),
            (2, "net.example.org"),
            (2, "www.example.org"),
        ]
    );
    assert_eq!(dns.latency_names.iter().map(|n| n.label.as_str()).collect::<Vec<_>>(), ["app"]);
}

#[test]
fn policies_nest_and_pass_ttl_and_region_down() {
    let config = everything();
    let dns = &config.snapshot.dns;
    let (policy, areas) = branches(dns, "www.example.org");
    assert_eq!(policy, Policy::Geolocation);
    assert_eq!(identifiers(areas), ["country-KR", "country-US-CA", "country-US", "continent-EU", "default"]);
    let keys: Vec<&BranchKey> = areas.iter().map(|b| &b.key).collect();
    let area = |location| BranchKey::Location(location);
    assert_eq!(
        keys,
        [
            &area(GeoLocation::Country("KR".into())),
            &area(GeoLocation::Subdivision("CA".into())),
            &area(GeoLocation::Country("US".into())),
            &area(GeoLocation::Continent("EU".into())),
            &area(GeoLocation::Default),
        ]
    );

    let korea = group(dns, areas[0].node);
    assert_eq!(korea.policy, Policy::Weighted { draw: WeightedDraw::PerClient });
    assert_eq!(areas[0].health_check, Some(HealthCheckIndex(0)));
    assert_eq!(identifiers(&korea.branches), ["record-1", "canary", "near"]);
    let weights: Vec<&BranchKey> = korea.branches.iter().map(|b| &b.key).collect();
    assert_eq!(weights, [&BranchKey::Weight(90), &BranchKey::Weight(10), &BranchKey::Weight(0)]);
    let canary = record(dns, korea.branches[1].node);
    assert_eq!(canary.ttl, Duration::from_secs(60));
    assert_eq!(
        canary.target,
        RecordTarget::Addresses(vec!["192.0.2.10".parse().unwrap(), "2001:db8::10".parse().unwrap()])
    );
    assert!(!korea.branches[2].evaluate_target_health);

    let pair = group(dns, korea.branches[0].node);
    assert_eq!(pair.policy, Policy::Failover);
    assert_eq!(identifiers(&pair.branches), ["primary", "secondary"]);
    let region = |branch: &PolicyBranch| match record(dns, branch.node).target {
        RecordTarget::LoadBalancer(lb) => config.snapshot.load_balancer(lb).region,
        ref other => panic!("{other:?}"),
    };
    assert_eq!([region(&pair.branches[0]), region(&pair.branches[1])], [SEOUL, TOKYO], "the outer region, its own");

    let california = group(dns, areas[1].node);
    assert_eq!(california.policy, Policy::Latency);
    assert_eq!(identifiers(&california.branches), ["ap-northeast-1", "ap-northeast-2"]);
    assert_eq!([region(&california.branches[0]), region(&california.branches[1])], [TOKYO, SEOUL]);

    assert_eq!(record(dns, areas[2].node).ttl, Duration::from_secs(5));
    let europe = record(dns, areas[3].node);
    assert!(matches!(europe.target, RecordTarget::Accelerator(_)));
    let others: Vec<(&str, &[String])> =
        europe.others.iter().map(|v| (v.record_type.as_str(), v.values.as_slice())).collect();
    assert_eq!(others, [("HTTPS", ["1 . alpn=h2".to_owned()].as_slice()), ("TXT", &["\"eu\"".to_owned()])]);
}

#[test]
fn geoproximity_takes_a_regions_place_or_a_place_of_its_own() {
    let config = everything();
    let (policy, near) = branches(&config.snapshot.dns, "near.example.org");
    assert_eq!(policy, Policy::Geoproximity { legacy_bias: true });
    assert_eq!(identifiers(near), ["ap-northeast-2", "35.68,139.65", "51.5,-0.12"]);
    let seoul = config.snapshot.region(SEOUL).location;
    assert_eq!(near[0].key, BranchKey::Proximity { location: seoul, bias: -99 });
    let place = Location { latitude: 35.68, longitude: 139.65 };
    assert_eq!(near[1].key, BranchKey::Proximity { location: place, bias: 0 });
}

#[test]
fn networks_values_and_wildcards_are_read() {
    let dns = everything().snapshot.dns;
    let (_, net) = branches(&dns, "net.example.org");
    assert_eq!(identifiers(net), ["10.1.0.0/16", "10.1.2.0/24", "default"]);
    let cidrs = vec!["10.1.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    assert_eq!((&net[0].key, &net[2].key), (&BranchKey::Cidrs(cidrs), &BranchKey::AnyNetwork));
    let (policy, many) = branches(&dns, "many.example.org");
    assert_eq!((policy, identifiers(many)), (Policy::Multivalue, vec!["192.0.2.6", "192.0.2.7"]));
    let (_, wild) = branches(&dns, "*.many.example.org");
    let tokyo = record(&dns, wild[0].node);
    assert_eq!((&tokyo.target, tokyo.others[0].record_type.as_str()), (&RecordTarget::Addresses(vec![]), "CNAME"));
}

#[test]
fn an_alias_leads_to_a_policy_name_a_grown_short_form_or_a_zone_file() {
    let dns = everything().snapshot.dns;
    let www = dns.policy_names.iter().position(|n| n.name == "www.example.org").unwrap();
    match root(&dns, "example.org") {
        PolicyNode::Record(PolicyRecord { target: RecordTarget::PolicyName(to), .. }) => assert_eq!(to.0, www),
        other => panic!("{other:?}"),
    }
    match root(&dns, "static.lab.test") {
        PolicyNode::Record(r) => assert_eq!(r.target, RecordTarget::Name("printer.lab.test".to_owned())),
        other @ PolicyNode::Group(_) => panic!("{other:?}"),
    }
    let (_, either) = branches(&dns, "either.lab.test");
    assert_eq!(either.iter().map(|b| &b.key).collect::<Vec<_>>(), [&BranchKey::Secondary, &BranchKey::Primary]);
    assert_eq!(group(&dns, either[1].node).policy, Policy::Latency);
}

#[test]
fn health_checks_are_read_with_the_fields_of_the_original() {
    let dns = everything().snapshot.dns;
    let names: Vec<&str> = dns.health_checks.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["all", "canary", "port"]);
    let [all, canary, port] = dns.health_checks.as_slice() else { panic!("three checks") };
    let children = vec![HealthCheckIndex(2), HealthCheckIndex(1)];
    assert_eq!(all.kind, DnsCheckKind::Calculated { threshold: 2, children });
    let endpoint = |kind: &DnsCheckKind| match kind {
        DnsCheckKind::Endpoint(endpoint) => endpoint.clone(),
        DnsCheckKind::Calculated { .. } => panic!("calculated"),
    };
    let e = endpoint(&canary.kind);
    assert!(canary.inverted && !canary.disabled && !e.sni);
    assert_eq!((e.protocol, e.port, e.threshold, e.checkers), (EndpointProtocol::Https, 443, 1, 5));
    assert_eq!(
        (e.path.as_str(), e.search.as_deref(), e.interval),
        ("/check?deep=1", Some("ok"), Duration::from_millis(250))
    );
    assert_eq!(
        (e.address, e.domain_name.as_deref()),
        (Some("192.0.2.10".parse().unwrap()), Some("canary.example.org"))
    );
    let e = endpoint(&port.kind);
    assert!(!port.inverted && port.disabled);
    assert_eq!((e.protocol, e.port, e.threshold, e.checkers), (EndpointProtocol::Tcp, 22, 3, 1));
    assert_eq!((e.address, e.search, e.interval), (None, None, Duration::from_secs(10)));
}

#[test]
fn the_server_takes_every_switch_and_shows_no_secret() {
    let config = everything();
    let server = &config.snapshot.dns.server;
    assert_eq!(server.identity.as_deref(), Some("icn 1"));
    assert!(server.chaos && !server.cookies && server.synthesized_error);
    assert_eq!(server.uncookied_octets, Some(512));
    let newest = [0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
    let mut older = newest;
    older.reverse();
    assert_eq!(server.cookie_secrets, [newest, older]);
    let limit = &server.rate_limit;
    assert_eq!((limit.enabled, limit.slip, limit.window_s), (false, 0, 4));
    assert_eq!((limit.answers_per_second, limit.nxdomains_per_second, limit.errors_per_second), (1, 2, 3));
    assert_eq!(limit.exempt, ["10.0.0.0/8".parse().unwrap()]);
    let shown = config.print() + &config.print_json();
    assert!(shown.contains("cookie_secrets[0]") && !shown.contains("00112233"));
}

#[test]
fn the_process_listens_on_a_list_and_on_encrypted_transports_that_share_a_port() {
    let config = everything();
    let dns = &config.runtime.dns;
    assert_eq!(dns.listen, ["127.0.0.1:5300".parse().unwrap(), "127.0.0.2:5300".parse().unwrap()]);
    assert_eq!(dns.dot_listen, dns.doq_listen, "TCP and UDP");
    assert_eq!((dns.workers, dns.doh_listen), (2, Some("127.0.0.1:8443".parse().unwrap())));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/accepted");
    assert_eq!(dns.certificate, Some(DnsCertificate::Authority(dir.join("authority"))));
    assert_eq!(dns.query_log, Some(QueryLog { file: dir.join("queries.log"), sample: 100 }));
}

#[test]
fn the_examples_of_the_built_in_file_are_accepted() {
    // What stands behind `# ` from the long examples on, as a configuration of its own.
    let text = include_str!("../../../../perigee.toml");
    let from = text.find("# [dns.names.global]").unwrap();
    let to = text.find("\n[admin]").unwrap();
    let is_toml = |line: &&str| {
        line.starts_with(['[', ' ', ']']) || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
    };
    let lines: Vec<&str> = text[from..to]
        .lines()
        .filter_map(|l| l.strip_prefix("# "))
        .filter(is_toml)
        .filter(|l| !l.starts_with("file"))
        .collect();
    let main = format!("[dns.names.app]\npolicy = \"latency\"\nload_balancer = \"shop\"\n{}\n", lines.join("\n"));
    let dns = accepted(&main).snapshot.dns;
    assert_eq!(
        dns.policy_names.iter().map(|n| n.name.as_str()).collect::<Vec<_>>(),
        ["global.perigee.test", "example.org"]
    );
    assert_eq!(dns.health_checks.len(), 1);
}

#[test]
fn limits_are_reached_before_they_are_passed() {
    let hundred: String = (0..100).map(|i| format!("{{ weight = 1, addresses = [\"192.0.2.{i}\"] }},")).collect();
    let thirty: String =
        (0..30).map(|i| format!("{{ latitude = {i}, longitude = 0, addresses = [\"192.0.2.1\"] }},")).collect();
    let deep = format!(
        "{}[{{ weight = 1, addresses = [\"192.0.2.1\"] }}]{}",
        "[{ weight = 1, policy = \"weighted\", records = ".repeat(15),
        " }]".repeat(15)
    );
    let chain: String =
        (0..59).map(|i| format!("[dns.names.c{i}]\npolicy = \"simple\"\nalias = \"c{}\"\n", i + 1)).collect();
    let main = format!(
        "[dns.names.hundred]\npolicy = \"weighted\"\nrecords = [{hundred}]\n\
         [dns.names.thirty]\npolicy = \"geoproximity\"\nrecords = [{thirty}]\n\
         [dns.names.deep]\npolicy = \"weighted\"\nrecords = {deep}\n\
         {chain}[dns.names.c59]\npolicy = \"simple\"\naddresses = [\"192.0.2.1\"]\n"
    );
    assert_eq!(accepted(&main).snapshot.dns.policy_names.len(), 63);
}

#[test]
fn names_with_underscores_carry_other_types() {
    let main = "[dns.zones.\"example.org\".names.\"_sip._tcp\"]\npolicy = \"simple\"\nttl_seconds = 300\n\
                values = { SRV = [\"1 2 5060 sip\"] }\n";
    let dns = accepted(main).snapshot.dns;
    assert_eq!(dns.policy_names[0].name, "_sip._tcp.example.org");
    assert_eq!(record(&dns, dns.policy_names[0].root).ttl, Duration::from_secs(300));
}

#[test]
fn a_variable_reaches_the_dns_server() {
    let config = Layers::from_strings(None, &[])
        .env(&[("PERIGEE_DNS__LISTEN", "['127.0.0.1:53', '127.0.0.2:53']"), ("PERIGEE_DNS__SERVER__CHAOS", "true")])
        .load()
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.runtime.dns.listen.len(), 2);
    assert!(config.snapshot.dns.server.chaos);
}
