use perigee_model::Location;
use perigee_model::dns::{BranchKey, GeoLocation, Policy, SigningAlgorithm, ZoneSigning};

use super::super::*;
use super::world::*;

fn geolocation(branches: &[(BranchKey, &'static str)]) -> T {
    let branch = |(i, (key, address)): (usize, &(BranchKey, &'static str))| b(key.clone(), ip(address)).check(i);
    T::Group(Policy::Geolocation, branches.iter().enumerate().map(branch).collect())
}

fn korea_asia_europe_rest() -> T {
    geolocation(&[
        (country("KR"), "192.0.2.1"),
        (continent("AS"), "192.0.2.2"),
        (continent("EU"), "192.0.2.3"),
        (EVERYWHERE, "192.0.2.4"),
    ])
}

#[test]
fn the_smallest_area_around_the_client_answers() {
    let world = World::new(&[korea_asia_europe_rest()]);
    let expected = [
        (SEOUL, "192.0.2.1"),
        (TOKYO, "192.0.2.2"),
        (LONDON, "192.0.2.3"),
        (NEW_YORK, "192.0.2.4"),
        (NOWHERE, "192.0.2.4"),
    ];
    for (client, address) in expected {
        assert_eq!(world.answer(client), address, "{client}");
    }
}

#[test]
fn unhealthy_areas_are_climbed_and_all_unhealthy_is_the_smallest() {
    for (failing, answer) in [
        (&[0][..], "192.0.2.2"),
        (&[0, 1], "192.0.2.4"),
        // Europe is healthy, but not for a client in Korea.
        (&[0, 1, 3], "192.0.2.1"),
    ] {
        let world = World::new(&[korea_asia_europe_rest()]).failing(failing);
        assert_eq!(world.answer(SEOUL), answer, "failing {failing:?}");
    }
    assert!(World::new(&[korea_asia_europe_rest()]).failing(&[0, 1, 3]).ask(SEOUL).failed_open);
}

#[test]
fn states_of_the_usa_are_areas() {
    let world = World::new(&[geolocation(&[
        (BranchKey::Location(GeoLocation::Subdivision("CA".into())), "192.0.2.1"),
        (country("US"), "192.0.2.2"),
        (EVERYWHERE, "192.0.2.3"),
    ])]);
    // The University of California and MIT, by the shipped database.
    for (client, answer) in [("128.32.0.1", "192.0.2.1"), ("18.9.22.1", "192.0.2.2"), (LONDON, "192.0.2.3")] {
        assert_eq!(world.answer(client), answer, "{client} in {:?}", atlas().locate(client.parse().unwrap()));
    }
}

#[test]
fn without_a_match_the_nearest_area_answers_and_none_under_parity_unless_the_zone_is_signed() {
    let tree = || [geolocation(&[(country("KR"), "192.0.2.1"), (country("DE"), "192.0.2.2")])];
    let world = World::new(&tree());
    assert_eq!(world.answer(TOKYO), "192.0.2.1");
    assert_eq!(world.answer(LONDON), "192.0.2.2");
    assert_eq!(World::new(&tree()).failing(&[0]).answer(TOKYO), "192.0.2.2");
    let parity = World::with(&tree(), |snapshot| snapshot.dns.zones[0].route53_parity = true);
    let decision = parity.ask(LONDON);
    assert_eq!((decision.reason, decision.scope), (PolicyReason::NoMatch, 0));
    assert!(decision.leaves.as_slice().is_empty());
    assert_eq!(parity.answer(SEOUL), "192.0.2.1");
    let signed = World::with(&tree(), |snapshot| {
        let zone = &mut snapshot.dns.zones[0];
        zone.route53_parity = true;
        let algorithm = SigningAlgorithm::default();
        zone.signing = Some(ZoneSigning { algorithm, key_directory: None, nsec3: false });
    });
    assert_eq!(signed.answer(LONDON), "192.0.2.2");
}

#[test]
fn an_area_without_the_type_is_no_area() {
    let tree = T::Group(
        Policy::Geolocation,
        vec![b(country("KR"), ip("192.0.2.1")), b(continent("EU"), T::Ips(vec!["192.0.2.2", "2001:db8::2"]))],
    );
    let world = World::new(&[tree]);
    let aaaa = world.decide(RecordKind::AAAA, &subnet(SEOUL, 24), 0);
    assert_eq!(world.answers(&aaaa), ["192.0.2.2 2001:db8::2"], "Korea has no AAAA: the nearest that has");
    assert_eq!(world.answer(SEOUL), "192.0.2.1");
}

#[test]
fn private_networks_go_by_the_resolver_and_share_one_scope() {
    let world = World::new(&[korea_asia_europe_rest()]);
    for (client, scope) in [("192.168.7.0", 16), ("172.16.3.0", 12), ("fd00::", 7)] {
        let network = Some((client.parse().unwrap(), 24));
        let decision = world.decide(RecordKind::A, &DnsClient { network, resolver: TOKYO.parse().unwrap() }, 0);
        assert_eq!(world.answers(&decision), ["192.0.2.2"], "{client}");
        assert_eq!(decision.scope, scope, "{client}");
    }
}

fn proximity(legacy_bias: bool, branches: &[(f64, f64, i8, &'static str)]) -> T {
    let branch = |(latitude, longitude, bias, address): &(f64, f64, i8, &'static str)| {
        let location = Location { latitude: *latitude, longitude: *longitude };
        b(BranchKey::Proximity { location, bias: *bias }, ip(address))
    };
    T::Group(Policy::Geoproximity { legacy_bias }, branches.iter().map(branch).collect())
}

#[test]
fn bias_moves_the_border_between_two_locations() {
    // Seoul is 1,150 km from Tokyo and 944 km from Shanghai... so a bias decides whose client it is.
    let (tokyo, shanghai) = ((35.68, 139.65), (31.23, 121.47));
    let (to_tokyo, to_shanghai) = (1_150.0, 868.0);
    for (bias, legacy) in [(0, false), (20, false), (50, false), (-50, false), (-50, true)] {
        let world = World::new(&[proximity(
            legacy,
            &[(tokyo.0, tokyo.1, bias, "192.0.2.1"), (shanghai.0, shanghai.1, 0, "192.0.2.2")],
        )]);
        let factor = match (bias, legacy) {
            (-50, true) => 2.0,
            _ => 1.0 - f64::from(bias) / 100.0,
        };
        let expected = if to_tokyo * factor < to_shanghai { "192.0.2.1" } else { "192.0.2.2" };
        assert_eq!(world.answer(SEOUL), expected, "bias {bias}");
    }
    // -40: 1.4 times by the current formula, 1.67 times by the older one; Seoul to Frankfurt is far enough for neither.
    let apart = |legacy| {
        World::new(&[proximity(
            legacy,
            &[(shanghai.0, shanghai.1, -30, "192.0.2.1"), (tokyo.0, tokyo.1, 0, "192.0.2.2")],
        )])
    };
    // 868 × 1.3 = 1,128 < 1,150; 868 / 0.7 = 1,240 > 1,150.
    assert_eq!(apart(false).answer(SEOUL), "192.0.2.1");
    assert_eq!(apart(true).answer(SEOUL), "192.0.2.2");
}

fn by_network() -> T {
    T::Group(
        Policy::IpBased,
        vec![
            b(nets(&["198.18.0.0/16", "2001:db8::/32"]), ip("192.0.2.1")).check(0),
            b(nets(&["198.18.7.0/24"]), ip("192.0.2.2")).check(1),
            b(BranchKey::AnyNetwork, ip("192.0.2.3")).check(2),
        ],
    )
}

#[test]
fn the_longest_network_answers_then_shorter_ones_then_any() {
    for (failing, client, len, answer, scope) in [
        (&[][..], "198.18.7.0", 24, "192.0.2.2", 24),
        (&[1], "198.18.7.0", 24, "192.0.2.1", 24),
        (&[0, 1], "198.18.7.0", 24, "192.0.2.3", 24),
        (&[0, 1, 2], "198.18.7.0", 24, "192.0.2.2", 24),
        (&[], "198.18.7.9", 32, "192.0.2.2", 24),
        (&[], "198.18.6.0", 24, "192.0.2.1", 24),
        (&[], "198.18.128.0", 24, "192.0.2.1", 17),
        // A network longer than SOURCE does not match; the scope still tells how deep it goes.
        (&[], "198.18.7.0", 23, "192.0.2.1", 24),
        (&[], "198.18.0.0", 15, "192.0.2.3", 22),
        (&[], "9.9.9.0", 24, "192.0.2.3", 1),
        (&[], "2001:db8:1::", 48, "192.0.2.1", 32),
        (&[], "64:ff9b::c612:700", 120, "192.0.2.2", 120),
    ] {
        let world = World::new(&[by_network()]).failing(failing);
        let decision = world.decide(RecordKind::A, &subnet(client, len), 0);
        assert_eq!(world.answers(&decision), [answer], "{client}/{len}, failing {failing:?}");
        assert_eq!(decision.scope, scope, "{client}/{len}");
    }
}

#[test]
fn without_any_network_the_lowest_set_identifier_answers() {
    let tree = || {
        [T::Group(
            Policy::IpBased,
            vec![
                b(nets(&["198.18.0.0/16"]), ip("192.0.2.1")).check(0),
                b(nets(&["198.19.0.0/16"]), ip("192.0.2.2")).check(1),
            ],
        )]
    };
    assert_eq!(World::new(&tree()).answer("9.9.9.0"), "192.0.2.1");
    assert_eq!(World::new(&tree()).failing(&[0]).answer("9.9.9.0"), "192.0.2.2");
    let parity = World::with(&tree(), |snapshot| snapshot.dns.zones[0].route53_parity = true);
    assert_eq!(parity.ask("9.9.9.0").reason, PolicyReason::NoMatch);
}
