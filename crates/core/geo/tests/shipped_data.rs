//! The data that Perigee ships, against the data themselves read another way.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panic and shares its support")]

mod support;

use std::collections::BTreeMap;
use std::net::IpAddr;

use maxminddb::{Reader, path};
use perigee_geo::{Atlas, Origin, embedded_ipv4, shipped};
use proptest::prelude::*;
use support::{atlas, database, ip, tables};

const TWO: &[&str] = &["ap-northeast-1", "ap-northeast-2"];

fn country(atlas: &Atlas, address: &str) -> String {
    atlas.locate(ip(address)).place.country.to_string()
}

/// The matrix, read by splitting at commas: it has no quotes.
fn matrix() -> BTreeMap<(String, String), f64> {
    let text = std::str::from_utf8(shipped::REGION_RTT).unwrap();
    let mut lines = text.lines().map(|l| l.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let row = |cells: Vec<&str>| {
        let pairs = header.iter().zip(cells.clone()).skip(1);
        pairs.map(|(to, ms)| ((cells[0].to_owned(), to.to_string()), ms.parse().unwrap())).collect::<Vec<_>>()
    };
    lines.flat_map(row).collect()
}

#[test]
fn known_addresses_are_in_their_countries() {
    let atlas = atlas(TWO);
    for (address, expected) in [
        ("168.126.63.1", "KR"),
        ("210.130.1.1", "JP"),
        ("133.11.0.1", "JP"),
        ("8.8.8.8", "US"),
        ("1.1.1.1", "AU"),
        ("2001:200::1", "JP"),
        ("2001:2b8::1", "KR"),
    ] {
        assert_eq!(country(&atlas, address), expected, "{address}");
        assert_eq!(atlas.locate(ip(address)).origin, Origin::Database);
    }
    let [found, tokyo] = [atlas.locate(ip("133.11.0.1")).place, atlas.place(atlas.find_place("Tokyo").unwrap())];
    let km = perigee_geo::great_circle_km(found.location.unwrap(), tokyo.location.unwrap());
    assert!(km < 30.0, "{found} is {km} km from Tokyo");
    for reserved in ["10.0.0.1", "203.0.113.1", "192.168.1.1", "fd00::1", "::"] {
        assert_eq!(atlas.locate(ip(reserved)).origin, Origin::Unknown, "{reserved}");
    }
}

#[test]
fn the_region_that_the_table_puts_first_is_first_for_clients_all_over_the_world() {
    let atlas = atlas(TWO);
    let rtt = matrix();
    // Address, country, and the region whose row speaks for the place, chosen by hand from the map.
    for (address, expected, anchor) in [
        ("168.126.63.1", "KR", "ap-northeast-2"),
        ("210.130.1.1", "JP", "ap-northeast-1"),
        ("8.8.8.8", "US", "us-west-1"),
        ("194.25.0.1", "DE", "eu-central-1"),
        ("200.160.2.3", "BR", "sa-east-1"),
        ("196.25.1.1", "ZA", "af-south-1"),
        ("14.139.0.1", "IN", "ap-south-1"),
        ("1.1.1.1", "AU", "ap-southeast-2"),
    ] {
        let located = atlas.locate(ip(address));
        assert_eq!(&*located.place.country, expected, "{address} is at {}", located.place);
        let by_table = |code: &str| rtt[&(anchor.to_owned(), code.to_owned())];
        let first = if by_table(TWO[0]) <= by_table(TWO[1]) { 0 } else { 1 };
        let order = atlas.order(located.place_index);
        assert_eq!(order[0].region.0, first, "{address}, {}: {order:?}", located.place);
        // The leg from the place to the anchor is the same for both.
        let difference = f64::from(order[1].rtt_ms - order[0].rtt_ms);
        let by_table = (by_table(TWO[0]) - by_table(TWO[1])).abs();
        assert!((difference - by_table).abs() < 0.06, "{address}: {difference} and {by_table}");
        assert!(order.iter().all(|leg| leg.measured));
        assert_eq!(atlas.order_of_network(ip(address)), order);
    }
}

#[test]
fn the_nearest_edge_is_the_citys_own() {
    let atlas = atlas(TWO);
    assert_eq!(atlas.pops().len(), 107);
    for (city, code) in [
        ("Seoul", "ICN"),
        ("Tokyo", "NRT"),
        ("New York", "JFK"),
        ("London", "LHR"),
        ("Frankfurt", "FRA"),
        ("Sao Paulo", "GRU"),
        ("Sydney", "SYD"),
        ("Singapore", "SIN"),
        ("Mumbai", "BOM"),
        ("Johannesburg", "JNB"),
    ] {
        let place = atlas.find_place(city).unwrap();
        let pop = atlas.pop(place);
        // New York has two airports at nearly the same distance.
        let got = atlas.pops()[pop.0].code.as_str();
        assert!(got == code || (city == "New York" && got == "EWR"), "{city}: {got}");
        assert_eq!(atlas.find_pop(got), Some(pop));
        assert!(atlas.client_to_pop_ms(place, pop) < 2.0);
        let mut pops = Vec::new();
        atlas.pops_by_distance(place, &mut pops);
        assert_eq!((pops[0], pops.len()), (pop, 107));
        let far: Vec<f32> = pops.iter().map(|p| atlas.client_to_pop_ms(place, *p)).collect();
        assert!(far.is_sorted(), "{city}: {far:?}");
    }
    assert_eq!(atlas.find_pop("XXX"), None);
    assert_eq!(atlas.pops()[atlas.find_pop("BCN").unwrap().0].country, "ES", "Barcelona in Spain, not in Venezuela");
    let order = atlas.pop_order(atlas.find_pop("ICN").unwrap());
    assert_eq!(order[0].region.0, 1);
    assert_eq!(order[0].rtt_ms, tables().rtt_ms("ap-northeast-2", "ap-northeast-2").unwrap() + 1.0);
}

#[test]
fn every_edge_is_in_the_country_that_it_names() {
    // The database's places of a country lie within its reach of the edges of that country; an edge on another
    // continent than all of them has wrong coordinates.
    let atlas = atlas(TWO);
    let mut near: BTreeMap<String, f64> = BTreeMap::new();
    for high in 0..=u16::MAX {
        let address = IpAddr::from(u32::from(high).wrapping_shl(16).to_be_bytes());
        let place = atlas.locate(address).place;
        let Some(location) = place.location else { continue };
        for pop in atlas.pops().iter().filter(|p| *p.country == *place.country) {
            let km = perigee_geo::great_circle_km(location, pop.location);
            let least = near.entry(pop.code.to_string()).or_insert(km);
            *least = least.min(km);
        }
    }
    let far: Vec<_> = near.iter().filter(|(_, km)| **km > 700.0).collect();
    assert!(far.is_empty(), "kilometres to the next place of the country: {far:?}");
    assert!(near.len() > 100, "{} edges compared", near.len());
}

#[test]
fn an_unlisted_region_is_taken_by_the_great_circle() {
    let busan = perigee_model::Location { latitude: 35.18, longitude: 129.08 };
    let mut regions = support::regions(TWO);
    regions.push((perigee_model::RegionCode::new("home-1"), busan));
    let atlas = Atlas::build(database(), &tables(), &support::overlay(), &regions, "Busan").map_err(|e| e.to_string());
    let known = atlas.unwrap_err();
    assert!(known.contains("Busan") && known.contains("Seoul, Tokyo, New York"), "{known}");
    let atlas = Atlas::build(database(), &tables(), &support::overlay(), &regions, "icn").unwrap();
    assert_eq!(atlas.place(atlas.here()).to_string(), "Seoul, KR");
    let order = atlas.order(atlas.find_place("Tokyo").unwrap());
    let of: BTreeMap<usize, _> = order.iter().map(|leg| (leg.region.0, (leg.rtt_ms, leg.measured))).collect();
    assert_eq!(of[&0].0, tables().rtt_ms("ap-northeast-1", "ap-northeast-1").unwrap());
    // 962 km from Tokyo to Busan.
    assert_eq!(of[&2], (20.0, false));
}

#[test]
fn the_overlay_lies_above_the_database_and_knows_its_prefixes() {
    let atlas = atlas(TWO);
    let seoul = atlas.find_place("seoul").unwrap();
    assert_eq!(atlas.prefix_of(seoul).unwrap().to_string(), "127.82.200.0/24");
    assert_eq!(atlas.here(), seoul);
    for (address, place) in [
        ("127.81.200.9", "Tokyo, JP"),
        ("127.0.0.1", "Seoul, KR"),
        ("127.0.255.255", "Seoul, KR"),
        ("::1", "Seoul, KR"),
        ("127.1.0.1", "unknown place"),
    ] {
        assert_eq!(atlas.locate(ip(address)).place.to_string(), place, "{address}");
    }
    assert_eq!(atlas.locate(ip("127.0.0.1")).origin, Origin::Overlay);
    assert_eq!(atlas.prefixes().count(), 12);
    // All around is unknown. That is no reason to give Tokyo's answer to it, even though it has the lowest code:
    // the resolver's address decides there.
    for (address, known, scope) in
        [("127.82.200.9", true, 24), ("127.81.200.9", true, 24), ("127.81.201.0", false, 24), ("127.80.0.0", false, 16)]
    {
        assert_eq!((atlas.knows_network(ip(address)), atlas.scope(ip(address), 32)), (known, scope), "{address}");
        assert_eq!(atlas.order_of_network(ip(address)), atlas.order(atlas.locate(ip(address)).place_index));
    }
}

#[test]
fn transition_addresses_are_where_the_address_is_that_they_carry() {
    let atlas = atlas(TWO);
    let plain = atlas.scope(ip("168.126.63.1"), 32);
    for (address, offset) in [
        ("::ffff:168.126.63.1", 96),
        ("64:ff9b::168.126.63.1", 96),
        ("2002:a87e:3f01::1", 16),
        ("2001:0:4136:e378:8000:63bf:5781:c0fe", 96),
    ] {
        assert_eq!(country(&atlas, address), "KR", "{address}");
        assert_eq!(atlas.scope(ip(address), 128), offset + plain, "{address}");
    }
    // 2002::/16 and its like lie in IPv6 space of their own: no scope from outside covers them.
    for outside in ["2001:2b8::1", "2003::", "2000::", "64:ff9b:1::", "::2"] {
        let scope = atlas.scope(ip(outside), 128);
        let network = ipnet::IpNet::new(ip(outside), scope).unwrap();
        for inside in ["::ffff:1.2.3.4", "64:ff9b::1", "2002::1", "2001::1"] {
            assert!(!network.contains(&ip(inside)), "{network} covers {inside}");
        }
    }
}

#[test]
fn with_one_region_every_scope_is_the_whole_world() {
    let atlas = atlas(&["ap-northeast-2"]);
    for address in ["168.126.63.1", "127.0.0.1", "10.0.0.1", "2001:2b8::1", "2002::1", "::"] {
        assert_eq!(atlas.scope(ip(address), 24), 0, "{address}");
    }
}

/// The country by the vendor's reader alone.
fn reference(reader: &Reader<&[u8]>, address: IpAddr) -> String {
    let address = match address {
        IpAddr::V6(v6) => embedded_ipv4(v6).map_or(address, |(v4, _)| IpAddr::V4(v4)),
        IpAddr::V4(_) => address,
    };
    let code = reader.lookup(address).unwrap().decode_path::<String>(&path!["country", "iso_code"]);
    code.unwrap().unwrap_or_default()
}

/// A fixed stream of 64-bit numbers (SplitMix64), so that a failure repeats.
fn numbers(mut state: u64) -> impl Iterator<Item = u64> {
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}

#[test]
fn twenty_thousand_addresses_of_each_family_are_where_the_vendors_reader_puts_them() {
    let reader = Reader::from_source(shipped::CITY).unwrap();
    let atlas = atlas(TWO);
    let (mut known, mut located, mut same_city) = (0, 0, 0);
    let v4 = numbers(1).map(|n| IpAddr::from((n as u32).to_be_bytes()));
    let global = |n: u64| (u128::from(n) << 64 & !(7 << 125)) | 1 << 125;
    let v6 = numbers(2).map(|n| IpAddr::from(global(n).to_be_bytes()));
    // Most of IPv6 is empty: the second half starts where registries have given out addresses.
    let given = [0x2001_0200_u128, 0x2400, 0x2600, 0x2620, 0x2800, 0x2a00, 0x2a02, 0x2c0f];
    let dense = numbers(3).map(move |n| {
        let top = given[(n % 8) as usize];
        let top = if top > 0xffff { top << 96 } else { top << 112 };
        IpAddr::from((top | u128::from(n >> 20) << 68 | u128::from(n)).to_be_bytes())
    });
    for address in v4.take(20_000).chain(v6.take(10_000)).chain(dense.take(10_000)) {
        let place = atlas.locate(address);
        if place.origin == Origin::Overlay {
            continue;
        }
        assert_eq!(*place.place.country, *reference(&reader, address), "{address}");
        known += u32::from(!place.place.country.is_empty());
        let folded = match address {
            IpAddr::V6(v6) => embedded_ipv4(v6).map_or(address, |(v4, _)| v4.into()),
            IpAddr::V4(_) => address,
        };
        let found = reader.lookup(folded).unwrap();
        let latitude: Option<f64> = found.decode_path(&path!["location", "latitude"]).unwrap();
        assert_eq!(place.place.location.map(|l| l.latitude), latitude, "{address}");
        located += u32::from(latitude.is_some());
        let city: Option<String> = found.decode_path(&path!["city", "names", "en"]).unwrap();
        same_city += u32::from(city.is_some_and(|c| *c == *place.place.city));
    }
    assert!(known > 15_000 && located > 15_000 && same_city > 10_000, "{known} {located} {same_city}");
}

#[test]
fn an_address_in_the_scope_of_another_has_its_order() {
    let all: Vec<_> = tables().regions().iter().map(|r| r.code.to_string()).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    for codes in [TWO, &all] {
        let atlas = atlas(codes);
        let sequence = |address| atlas.order_of_network(address).iter().map(|leg| leg.region).collect::<Vec<_>>();
        let config = ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(bits: u128, inside in prop::collection::vec(any::<u128>(), 16), kind in 0..6)| {
            let (address, bound): (IpAddr, u8) = match kind {
                0 | 1 => (IpAddr::from((bits as u32).to_be_bytes()), 24),
                2 => (IpAddr::from((bits as u32 & 0x00ff_ffff | 0x7f00_0000).to_be_bytes()), 24),
                3 => (IpAddr::from((bits & !(7 << 125) | 1 << 125).to_be_bytes()), 48),
                4 => (IpAddr::from((bits & !(0xffff << 112) | 0x2002 << 112).to_be_bytes()), 40),
                _ => (IpAddr::from((u128::from(bits as u32) | 0xffff << 32).to_be_bytes()), 120),
            };
            let scope = atlas.scope(address, 128);
            prop_assert!(scope <= bound, "{address}/{scope}");
            let expected = sequence(address);
            for other in inside {
                let other = match address {
                    IpAddr::V4(v4) => {
                        let host = u32::MAX.checked_shr(scope.into()).unwrap_or(0);
                        IpAddr::from((v4.to_bits() & !host | other as u32 & host).to_be_bytes())
                    }
                    IpAddr::V6(v6) => {
                        let host = u128::MAX.checked_shr(scope.into()).unwrap_or(0);
                        IpAddr::from((v6.to_bits() & !host | other & host).to_be_bytes())
                    }
                };
                prop_assert_eq!(&sequence(other), &expected, "{} in the scope {}/{}", other, address, scope);
                prop_assert_eq!(atlas.knows_network(other), atlas.knows_network(address));
                prop_assert_eq!(atlas.scope(other, 128), scope);
            }
            // The shortest such prefix: one bit less takes in another order, at the other side of the border.
            if scope > 0 && address.is_ipv4() {
                let wider = ipnet::IpNet::new(address, scope - 1).unwrap();
                let decision = |net: IpAddr| (sequence(net), atlas.knows_network(net), atlas.scope(net, 128));
                let mut halves = wider.subnets(scope).unwrap().map(|half| decision(half.network()));
                prop_assert!(halves.next() != halves.next(), "{wider} is uniform");
            }
        });
    }
}

#[test]
fn most_of_ipv4_is_in_blocks_whose_ends_are_where_they_say() {
    let atlas = atlas(TWO);
    let (mut addresses, mut places) = (0, BTreeMap::new());
    for block in atlas.address_blocks() {
        addresses += block.count;
        *places.entry(block.place).or_insert(0) += block.count;
        for offset in [0, block.count / 2, block.count - 1] {
            assert_eq!(atlas.locate(block.address(offset).into()).place_index, block.place, "{block:?}");
        }
    }
    // Of 2^32 addresses, 3.7 billion can be allotted at all.
    assert!((3_000_000_000..3_750_000_000).contains(&addresses), "{addresses}");
    assert!(places.len() > 1_000, "{}", places.len());
}

#[test]
fn places_have_continents_and_those_of_the_usa_states() {
    let atlas = atlas(TWO);
    let at = |address: &str| atlas.locate(ip(address)).place_index;
    for (address, continent, state) in [
        ("168.126.63.1", Some("AS"), None),
        ("128.32.0.1", Some("NA"), Some("CA")),
        ("18.9.22.1", Some("NA"), Some("MA")),
        ("1.1.1.1", Some("OC"), None),
        ("193.99.144.80", Some("EU"), None),
        // A place of the overlay has its country's continent, and no state.
        ("127.1.200.1", Some("NA"), None),
        ("203.0.113.1", None, None),
    ] {
        assert_eq!(
            (atlas.continent_of(at(address)), atlas.subdivision_of(at(address))),
            (continent, state),
            "{address}"
        );
    }
    let without: Vec<_> =
        atlas.places().filter(|p| !atlas.place(*p).country.is_empty() && atlas.continent_of(*p).is_none()).collect();
    assert!(without.is_empty(), "{} countries without a continent", without.len());
    let states: std::collections::BTreeSet<_> = atlas.places().filter_map(|p| atlas.subdivision_of(p)).collect();
    assert_eq!(states.len(), 51, "{states:?}");
}

#[test]
fn a_partition_by_place_agrees_with_the_places_down_to_its_bound() {
    let atlas = atlas(TWO);
    let by_country: BTreeMap<String, u32> = {
        let mut countries: Vec<String> = atlas.places().map(|p| atlas.place(p).country.to_string()).collect();
        countries.sort();
        countries.dedup();
        countries.into_iter().zip(0..).collect()
    };
    let partition = atlas.partition(|place| by_country[&*atlas.place(place).country], None);
    let mut agree = 0;
    let asked = 20_000_u32;
    for i in 0..asked {
        let address = IpAddr::from(i.wrapping_mul(2_654_435_761).to_be_bytes());
        let (class, scope) = partition.get(address);
        assert!(scope <= 24 || atlas.locate(address).origin == Origin::Overlay, "{address} /{scope}");
        agree += u32::from(class == by_country[&*atlas.locate(address).place.country]);
    }
    // Below a /24 most addresses decide, so a few are told their neighbours' country.
    assert!(agree > asked * 999 / 1_000, "{agree} of {asked}");
}
