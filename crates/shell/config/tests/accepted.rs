//! What is accepted: the built-in configuration, the order of the layers, what a directory replaces.
#![allow(clippy::unwrap_used, reason = "the functions that the tests share fail them by a panic")]

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use perigee_config::{Config, Layers, MAX_FILE_BYTES, Origin, Sources, load};
use perigee_model::{Action, Behaviour, Snapshot};

const REGION: &str = r#"
[[zones]]
name = "eu-central-1a"
[load_balancers.web]
nodes = [{ zone = "eu-central-1a", address = "10.1.1.1" }]
[[load_balancers.web.listeners]]
protocol = "HTTP"
port = 80
default_actions = [{ type = "forward", target_group = "t" }]
[target_groups.t]
port = 8000
targets = [{ id = "10.1.1.10", availability_zone = "eu-central-1a" }]
"#;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn accepted(layers: Layers) -> Config {
    layers.load().unwrap_or_else(|problems| panic!("{problems}"))
}

fn origin<'a>(config: &'a Config, key: &str) -> &'a Origin {
    &config.settings.iter().find(|s| s.key == key).unwrap_or_else(|| panic!("no value {key}")).origin
}

/// A directory of its own that goes away with the test.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("regions")).unwrap();
        Self(dir)
    }

    fn problems(&self) -> Vec<String> {
        let sources = Sources { dir: Some(self.0.clone()), ..Sources::default() };
        load(&sources).err().map(|p| p.iter().map(ToString::to_string).collect()).unwrap_or_default()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_built_in_configuration_is_the_documented_table_of_addresses() {
    let Config { snapshot: s, runtime, .. } = load(&Sources { generation: 7, ..Sources::default() }).unwrap();
    assert_eq!(s.generation, 7);
    assert_eq!(runtime.dns.listen, ["127.0.0.1:5300".parse().unwrap()]);
    assert_eq!(runtime.admin_listen, "127.0.0.1:7070".parse().unwrap());
    assert_eq!((runtime.here.as_str(), runtime.geo_file, runtime.pop), ("Seoul", None, None));
    assert_eq!(s.dns.origin, "perigee.test");
    assert_eq!(s.settings.behaviour, Behaviour::Fast);
    assert_eq!(s.settings.timing, perigee_model::EdgeTiming::of(Behaviour::Fast));
    assert_eq!(s.settings.limits, perigee_model::Limits::default());

    let accelerator = &s.accelerators[0];
    assert_eq!(s.accelerators.len(), 1);
    assert_eq!(accelerator.name.as_str(), "shop");
    assert_eq!(accelerator.addresses[..], [ip("127.75.2.1"), ip("127.99.83.1")]);
    assert!(accelerator.enabled && accelerator.listeners.len() == 1 && accelerator.listeners[0].listens_on(8080));
    assert_eq!(accelerator.listeners[0].endpoint_groups.len(), 2);

    let regions: Vec<&str> = s.regions.iter().map(|r| r.code.as_str()).collect();
    assert_eq!(regions, ["ap-northeast-1", "ap-northeast-2"]);
    for (index, city, country, octet) in [(0, "Tokyo", "JP", 81), (1, "Seoul", "KR", 82)] {
        let region = &s.regions[index];
        assert_eq!((region.city.as_str(), region.country.as_str()), (city, country));
        let lb = s.load_balancer(region.load_balancers[0]);
        assert_eq!(lb.name.as_str(), "shop");
        let nodes: Vec<String> = lb.nodes.iter().map(|n| format!("{}:{}", n.address, lb.listeners[0].port)).collect();
        assert_eq!(nodes, [format!("127.{octet}.1.1:8080"), format!("127.{octet}.3.1:8080")]);
        assert!(lb.nodes.iter().all(|n| n.status_port == 7070));
        let rule = &lb.listeners[0].rules[0];
        assert_eq!(rule.conditions[0].values, ["/check"]);
        let Action::Forward { target_group } = rule.action;
        let group = s.target_group(target_group);
        assert_eq!(group.name.as_str(), "web");
        let targets: Vec<String> = group.targets.iter().map(|t| format!("{}:{}", t.address, t.port)).collect();
        assert_eq!(targets, [format!("127.{octet}.1.10:9000"), format!("127.{octet}.3.10:9000")]);
        assert!(lb.nodes.iter().zip(&group.targets).all(|(n, t)| n.zone == t.zone), "a target of another zone");
        let check = &group.health_check;
        assert_eq!((check.path.as_str(), check.interval.as_secs(), check.timeout.as_secs()), ("/check", 5, 2));
        assert_eq!((check.healthy_threshold, check.unhealthy_threshold), (2, 2));
    }
    let name = &s.dns.latency_names[0];
    assert_eq!((name.label.as_str(), name.load_balancer.as_str(), name.ttl.as_secs()), ("app", "shop", 30));

    let overlay: Vec<String> = runtime.overlay.iter().map(|(prefix, place)| format!("{prefix} {place}")).collect();
    assert_eq!(
        overlay,
        [
            "127.0.0.0/16 Seoul",
            "127.1.200.0/24 New York",
            "127.27.200.0/24 Johannesburg",
            "127.44.200.0/24 London",
            "127.49.200.0/24 Frankfurt",
            "127.55.200.0/24 Sao Paulo",
            "127.61.200.0/24 Sydney",
            "127.65.200.0/24 Singapore",
            "127.81.200.0/24 Tokyo",
            "127.82.200.0/24 Seoul",
            "127.91.200.0/24 Mumbai",
        ]
    );
}

#[test]
fn the_built_in_files_as_a_directory_are_the_built_in_configuration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let built_in = load(&Sources::default()).unwrap();
    let from_files = load(&Sources { dir: Some(root), ..Sources::default() }).unwrap();
    assert_eq!(from_files.snapshot, built_in.snapshot);
    assert_eq!(from_files.runtime, built_in.runtime);
    assert!(!from_files.settings.iter().any(|s| matches!(s.origin, Origin::BuiltIn { .. })));
}

#[test]
fn later_layers_win_and_every_value_knows_its_origin() {
    let main =
        "here = \"Tokyo\"\n[dns]\nlisten = \"127.0.0.1:5301\"\nzone = \"a.test\"\n[admin]\nlisten = \"127.0.0.1:1\"\n";
    let config = accepted(
        Layers::from_strings(Some(main), &[])
            .env(&[("PERIGEE_DNS__ZONE", "b.test"), ("PERIGEE_HERE", "London"), ("HOME", "/"), ("PERIGEE_LOG", "info")])
            .flags(&[("here", "Sydney", "--here")]),
    );
    assert_eq!(config.runtime.here, "Sydney");
    assert_eq!(config.snapshot.dns.origin, "b.test");
    assert_eq!(config.runtime.dns.listen[0].port(), 5301);
    let text = |key: &str| origin(&config, key).to_string();
    assert_eq!(text("here"), "flag --here");
    assert_eq!(text("dns.zone"), "environment PERIGEE_DNS__ZONE");
    assert_eq!(text("dns.listen"), "perigee.toml:3");
    assert!(text("dns.negative_ttl_seconds").starts_with("built-in perigee.toml:"));
    assert_eq!(text("timing.connect_stagger_ms"), "default");
    assert_eq!(text("overlay.\"127.0.0.0/16\""), "default");
    assert!(config.print().lines().any(|l| l.starts_with("here = \"Sydney\"") && l.ends_with("# flag --here")));
    assert!(config.print_json().contains("\"variable\": \"PERIGEE_DNS__ZONE\""));
    assert_eq!(config.problem("dns.listen", "in use").to_string(), "perigee.toml:3: dns.listen: in use");
}

#[test]
fn a_region_file_wins_over_the_main_file() {
    let main = "[regions.eu-central-1]\ncity = \"Main\"\ncountry = \"FR\"\n";
    let region = format!("city = \"Own\"\n{REGION}");
    let config = accepted(Layers::from_strings(Some(main), &[("eu-central-1", &region)]));
    assert_eq!((config.snapshot.regions[0].city.as_str(), config.snapshot.regions[0].country.as_str()), ("Own", "FR"));
    assert_eq!(origin(&config, "regions.eu-central-1.city").to_string(), "regions/eu-central-1.toml:1");
}

#[test]
fn a_variable_reaches_into_a_resource_with_a_hyphen() {
    let variable = "PERIGEE_REGIONS__AP_NORTHEAST_2__TARGET_GROUPS__WEB__HEALTH_CHECK_INTERVAL_SECONDS";
    let config = accepted(Layers::from_strings(None, &[]).env(&[(variable, "7")]));
    assert_eq!(config.snapshot.target_groups[1].health_check.interval, Duration::from_secs(7));
    assert_eq!(config.snapshot.target_groups[0].health_check.interval, Duration::from_secs(5));
}

#[test]
fn a_variable_may_hold_a_list() {
    let config = accepted(Layers::from_strings(None, &[]).env(&[("PERIGEE_TRUSTED_PROXIES", "['10.0.0.0/8']")]));
    assert_eq!(config.snapshot.settings.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn regions_of_ones_own_replace_the_built_in_ones_and_what_refers_to_them() {
    let config = accepted(Layers::from_strings(None, &[("eu-central-1", REGION)]));
    let s = &config.snapshot;
    assert_eq!(s.region_codes().len(), 1);
    assert!(s.accelerators.is_empty() && s.dns.latency_names.is_empty());
    // The port of the target group is the default of its targets.
    assert_eq!(s.target_groups[0].targets[0].port, 8000);
    // Settings stay.
    assert_eq!(config.runtime.overlay.len(), 11);
}

#[test]
fn regions_that_have_what_the_built_in_accelerator_wants_keep_it() {
    let seoul = include_str!("../../../../regions/ap-northeast-2.toml");
    let tokyo = include_str!("../../../../regions/ap-northeast-1.toml");
    let both = accepted(Layers::from_strings(None, &[("ap-northeast-2", seoul), ("ap-northeast-1", tokyo)]));
    assert_eq!(both.snapshot.accelerators.len(), 1);
    let one = accepted(Layers::from_strings(None, &[("ap-northeast-2", seoul)]));
    assert!(one.snapshot.accelerators.is_empty(), "the accelerator has a group in a region that is gone");
    assert_eq!(one.snapshot.dns.latency_names.len(), 1, "one region with the load balancer is enough for the name");
}

#[test]
fn accelerators_and_names_are_replaced_kind_by_kind() {
    let main = "[accelerators.mine]\naddresses = [\"127.75.2.9\", \"127.99.83.9\"]\n[dns.names]\n";
    let s = accepted(Layers::from_strings(Some(main), &[])).snapshot;
    assert_eq!(s.accelerators.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["mine"]);
    assert!(s.dns.latency_names.is_empty());
    assert_eq!(s.regions.len(), 2);
}

#[test]
fn times_follow_the_behaviour_unless_given() {
    let main = "behaviour = \"aws\"\n[timing]\nlb_health_misses = 4\n";
    let timing = accepted(Layers::from_strings(Some(main), &[])).snapshot.settings.timing;
    assert_eq!(timing.lb_health_poll, Duration::from_secs(10));
    assert_eq!(timing.lb_health_misses, 4);
}

#[test]
fn an_overlay_entry_joins_or_replaces_and_may_place_the_operator() {
    let main = "[overlay]\n\"127.82.200.0/24\" = \"Busan\"\n\"10.9.0.0/16\" = \"Paris\"\n\"127.0.0.0/16\" = \"Rome\"\n";
    let overlay = accepted(Layers::from_strings(Some(main), &[])).runtime.overlay;
    let place = |p: &str| overlay.iter().find(|(n, _)| n.to_string() == p).map(|(_, place)| place.clone());
    assert_eq!(place("127.82.200.0/24").as_deref(), Some("Busan"));
    assert_eq!(place("10.9.0.0/16").as_deref(), Some("Paris"));
    assert_eq!(place("127.0.0.0/16").as_deref(), Some("Rome"));
    assert_eq!(overlay.len(), 12);
}

#[test]
fn the_key_of_the_original_names_a_groups_region_too() {
    let main = "[accelerators.a]\naddresses = [\"127.75.2.9\", \"127.99.83.9\"]\n[[accelerators.a.listeners]]\n\
        port_ranges = [{ from_port = 443, to_port = 443 }]\n\
        endpoint_groups = [{ endpoint_group_region = \"ap-northeast-2\", traffic_dial_percentage = 12.5, \
        port_overrides = [{ listener_port = 443, endpoint_port = 8080 }], \
        endpoints = [{ endpoint_id = \"shop\", weight = 0 }] }]\n";
    let s: Snapshot = accepted(Layers::from_strings(Some(main), &[])).snapshot;
    let group = &s.accelerators[0].listeners[0].endpoint_groups[0];
    assert_eq!(s.region(group.region).code.as_str(), "ap-northeast-2");
    assert_eq!(
        (group.traffic_dial.percent(), group.endpoint_port(443), group.endpoints[0].weight.get()),
        (12.5, 8080, 0)
    );
}

#[test]
fn everything_may_listen_on_a_free_port_or_on_every_address() {
    let main = "[dns]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    accepted(Layers::from_strings(Some(main), &[]));
    // The nodes have port 7070 too, but on which host this address is meant is not known here.
    accepted(Layers::from_strings(Some("[admin]\nlisten = \"0.0.0.0:7070\"\n"), &[]));
}

#[test]
fn a_directory_that_holds_no_configuration_is_a_problem() {
    let dir = Dir::new("empty");
    assert!(dir.problems()[0].ends_with("holds neither perigee.toml nor regions/*.toml"));
    std::fs::remove_dir_all(&dir.0).unwrap();
    assert!(dir.problems()[0].contains("cannot be read"), "{:?}", dir.problems());
}

#[test]
fn files_that_are_too_large_or_no_text_or_no_files_are_each_a_problem() {
    let dir = Dir::new("unreadable");
    std::fs::write(dir.0.join("perigee.toml"), vec![b'#'; MAX_FILE_BYTES + 1]).unwrap();
    std::fs::write(dir.0.join("regions/eu-central-1.toml"), b"city = \"\xff\"").unwrap();
    std::fs::create_dir(dir.0.join("regions/eu-west-1.toml")).unwrap();
    std::fs::write(dir.0.join("regions/notes.txt"), "passed over").unwrap();
    assert_eq!(
        dir.problems(),
        [
            "perigee.toml: is larger than 1048576 bytes",
            "regions/eu-central-1.toml: is not UTF-8 from byte 8",
            "regions/eu-west-1.toml: is not a regular file",
        ]
    );
}

#[test]
fn too_many_region_files_are_one_problem() {
    let dir = Dir::new("many");
    for i in 0..257 {
        std::fs::write(dir.0.join(format!("regions/r-{i}.toml")), "").unwrap();
    }
    assert_eq!(dir.problems(), ["regions: holds 257 files, at most 256 are read"]);
}

#[test]
fn a_path_in_a_file_is_relative_to_the_configuration_directory() {
    let dir = Dir::new("geo");
    std::fs::write(dir.0.join("perigee.toml"), "[geo]\nfile = \"own.mmdb\"\n").unwrap();
    std::fs::write(dir.0.join("own.mmdb"), "x").unwrap();
    let config = load(&Sources { dir: Some(dir.0.clone()), ..Sources::default() }).unwrap();
    assert_eq!(config.runtime.geo_file, Some(dir.0.join("own.mmdb")));
}

#[test]
fn problems_beyond_the_limit_are_counted() {
    let main: String = (0..5_000).map(|i| format!("unknown_key_{i} = 1\n")).collect();
    let problems = Layers::from_strings(Some(&main), &[]).load().unwrap_err();
    assert!(problems.iter().count() <= perigee_config::MAX_PROBLEMS + 1);
}
