//! What is refused in the tables and the overlay, and what the formula for unmeasured ways is worth.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panic and shares its support")]

mod support;

use std::sync::Arc;

use perigee_geo::{Atlas, Database, GeoError, Overlay, Tables, great_circle_km, great_circle_ms, shipped};
use support::mmdb::{nested, write};
use support::{ip, overlay, regions, tables};

const REGIONS: &str = "code,city,country,continent,latitude,longitude,availability_zones\n\
    ap-northeast-1,Tokyo,JP,AS,35.68,139.65,4\nap-northeast-2,Seoul,KR,AS,37.57,126.98,4\n";
const RTT: &str = "from\\to,ap-northeast-1,ap-northeast-2\nap-northeast-1,2.9,33.1\nap-northeast-2,,2.7\n";
const EDGES: &str = "code,city,country,country_code,latitude,longitude,pricing_region\n\
    ICN,Seoul,South Korea,KR,37.47,126.45,\"Hong Kong, & Korea\"\n";

fn parse(regions: &str, rtt: &str, edges: &str) -> Result<Tables, String> {
    Tables::parse(regions.as_bytes(), rtt.as_bytes(), edges.as_bytes()).map_err(|e| e.to_string())
}

#[test]
fn small_tables_are_read_and_a_missing_cell_falls_back_to_the_great_circle() {
    let tables = parse(REGIONS, RTT, EDGES).unwrap();
    assert_eq!(tables.rtt_ms("ap-northeast-1", "ap-northeast-2"), Some(33.1));
    assert_eq!(tables.rtt_ms("ap-northeast-2", "ap-northeast-1"), None);
    assert_eq!(tables.rtt_ms("eu-west-1", "ap-northeast-1"), None);
    let database =
        Arc::new(Database::load(&write("T", 4, &[("1.0.0.0/8", nested("S", "KR", 37.57, 126.98))])).unwrap());
    let two = regions(&["ap-northeast-1", "ap-northeast-2"]);
    let atlas = Atlas::build(&database, &tables, &Overlay::default(), &two, "Seoul").unwrap();
    let order = atlas.order(atlas.locate(ip("1.2.3.4")).place_index);
    let legs: Vec<_> = order.iter().map(|leg| (leg.region.0, leg.rtt_ms, leg.measured)).collect();
    // 1,150 km at 1.6 ms for each 100, and 5 ms.
    assert_eq!(legs, [(1, 2.7, true), (0, 23.0, false)]);
}

#[test]
fn every_wrong_table_is_an_error_with_its_line() {
    let replaced = |table: &str, from: &str, to: &str| {
        assert!(table.contains(from), "{from}");
        table.replacen(from, to, 1)
    };
    for (from, to, expected) in [
        ("code,city", "code,town", "regions, line 1: the header must be"),
        ("35.68", "95.68", "regions, line 2: \"95.68\", \"139.65\" is no location"),
        ("35.68", "NaN", "regions, line 2"),
        ("126.98", "east", "regions, line 3"),
        (",JP,", ",jp,", "regions, line 2: \"jp\" is no country code"),
        ("Tokyo", "", "regions, line 2: field 2 is empty"),
        ("139.65,4", "139.65,0", "regions, line 2: \"0\" is not a number of zones"),
        ("139.65,4", "139.65,4,5", "regions, line 2"),
        ("ap-northeast-1", "ap-northeast-2", "regions, line 1: ap-northeast-2 is given twice"),
        ("Tokyo", "To\u{7}kyo", "regions, line 2: a field is longer than 128 bytes or has control characters"),
    ] {
        let error = parse(&replaced(REGIONS, from, to), RTT, EDGES).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    for (from, to, expected) in [
        ("33.1", "-1", "region round trips, line 2: \"-1\" is not milliseconds"),
        ("33.1", "inf", "region round trips, line 2"),
        (",ap-northeast-1,", ",ap-east-1,", "region round trips, line 1: the columns must be"),
        ("\nap-northeast-2,,2.7", "", "region round trips, line 1: one row for each region"),
        ("\nap-northeast-2", "\neu-west-1", "region round trips, line 3: the row of ap-northeast-2 is expected"),
    ] {
        let error = parse(REGIONS, &replaced(RTT, from, to), EDGES).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(parse(REGIONS, "", EDGES).unwrap_err().starts_with("region round trips, line 1: the table is empty"));
    let long = format!("{EDGES}{}", "ICN,Seoul,South Korea,KR,37.47,126.45,x\n".repeat(1_100));
    assert!(parse(REGIONS, RTT, &long).unwrap_err().contains("at most 1024 rows"));
    assert!(Tables::parse(REGIONS.as_bytes(), RTT.as_bytes(), b"\xff\xfe").is_err());
}

#[test]
fn every_wrong_overlay_is_an_error() {
    let read = |rows: &str| {
        let csv = format!("prefix,place,country,latitude,longitude\n{rows}");
        let overlay = Overlay::parse(csv.as_bytes())?;
        let database = Arc::new(Database::load(&write("T", 4, &[("1.0.0.0/8", nested("S", "KR", 37.57, 126.98))]))?);
        Atlas::build(&database, &tables(), &overlay, &regions(&["ap-northeast-1"]), "ICN")
    };
    for (rows, expected) in [
        ("127.0.0.0,Seoul,KR,1,2", "overlay, line 2: \"127.0.0.0\" is no prefix"),
        ("127.0.0.0/33,Seoul,KR,1,2", "overlay, line 2"),
        ("127.0.0.0/8,Seoul,KR,,", "overlay, line 2: \"\", \"\" is no location"),
        ("127.0.0.0/8,here,KR,,", "overlay, line 2"),
        ("127.0.0.1/8,Seoul,KR,1,2", "overlay prefix 127.0.0.1/8: bits are set behind"),
        ("127.0.0.0/8,Seoul,KR,1,2\n127.0.0.0/8,here,,,", "overlay prefix 127.0.0.0/8: given twice"),
        ("::ffff:127.0.0.0/104,here,,,", "overlay prefix ::ffff:127.0.0.0/104: these IPv6 addresses carry IPv4"),
    ] {
        let error = read(rows).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let mut long = Overlay::parse(shipped::OVERLAY).unwrap();
    long.entries = vec![long.entries[0].clone(); Overlay::MAX_ENTRIES + 1];
    let built = Atlas::build(support::database(), &tables(), &long, &regions(&["ap-northeast-1"]), "ICN");
    assert!(matches!(built, Err(GeoError::OverlayTooLong { .. })));
    let built = Atlas::build(support::database(), &tables(), &overlay(), &[], "ICN");
    assert!(matches!(built, Err(GeoError::NoRegions)));
}

#[test]
fn the_longest_prefix_decides_and_may_be_longer_than_a_scope_of_the_database() {
    let csv = "prefix,place,country,latitude,longitude\n10.0.0.0/8,Tokyo,JP,35.68,139.65\n\
        10.1.0.0/16,Seoul,KR,37.57,126.98\n10.1.2.3/32,Tokyo,JP,35.68,139.65\nfd00::/8,Seoul,KR,37.57,126.98\n\
        fd00:0:0:1::/64,Tokyo,JP,35.68,139.65\n";
    let overlay = Overlay::parse(csv.as_bytes()).unwrap();
    let two = regions(&["ap-northeast-1", "ap-northeast-2"]);
    let atlas = Atlas::build(support::database(), &tables(), &overlay, &two, "Tokyo").unwrap();
    for (address, city, first, scope) in [
        ("10.0.0.1", "Tokyo", 0, 16),
        ("10.1.0.1", "Seoul", 1, 23),
        ("10.1.2.2", "Seoul", 1, 32),
        ("10.1.2.3", "Tokyo", 0, 32),
        ("10.1.2.4", "Seoul", 1, 30),
        ("10.1.255.255", "Seoul", 1, 17),
        ("fd00::1", "Seoul", 1, 64),
        ("fd00:0:0:1::1", "Tokyo", 0, 64),
        ("fd00:0:0:2::1", "Seoul", 1, 63),
    ] {
        let located = atlas.locate(ip(address));
        assert_eq!(&*located.place.city, city, "{address}");
        assert_eq!(atlas.order_of_network(ip(address))[0].region.0, first, "{address}");
        assert_eq!(atlas.scope(ip(address), 128), scope, "{address}");
    }
    // The source's length cuts the address, not the scope: 10.1.2.3/16 speaks about 10.1.0.0.
    assert_eq!(atlas.scope(ip("10.1.2.3"), 16), 23);
}

#[test]
fn ipv4_below_a_24_answers_by_most_addresses_while_lookups_stay_exact() {
    let bytes = write(
        "T",
        4,
        &[
            ("1.0.0.0/16", nested("Seoul", "KR", 37.57, 126.98)),
            ("1.0.7.0/26", nested("Tokyo", "JP", 35.68, 139.65)),
            ("1.0.9.0/25", nested("Tokyo", "JP", 35.68, 139.65)),
        ],
    );
    let atlas = support::atlas_of(&bytes, &["ap-northeast-1", "ap-northeast-2"]).unwrap();
    assert_eq!(&*atlas.locate(ip("1.0.7.1")).place.city, "Tokyo");
    assert_eq!(atlas.order(atlas.locate(ip("1.0.7.1")).place_index)[0].region.0, 0);
    assert_eq!(atlas.order_of_network(ip("1.0.7.1"))[0].region.0, 1, "most of the /24 is in Seoul");
    assert_eq!(atlas.scope(ip("1.0.7.1"), 32), 21);
    assert_eq!(atlas.order_of_network(ip("1.0.9.200"))[0].region.0, 0, "of equals the lower half");
    assert_eq!(atlas.scope(ip("1.0.9.200"), 32), 24);
    assert_eq!(atlas.scope(ip("1.0.10.0"), 24), 23);
}

#[test]
fn the_formula_for_unmeasured_ways_meets_the_measured_ones_within_a_seventh() {
    let tables = tables();
    let mut errors: Vec<f64> = Vec::new();
    for from in tables.regions() {
        for to in tables.regions().iter().filter(|to| to.code != from.code) {
            let measured = f64::from(tables.rtt_ms(from.code.as_str(), to.code.as_str()).unwrap());
            let estimated = great_circle_ms(great_circle_km(from.location, to.location));
            errors.push((estimated - measured).abs() / measured);
        }
    }
    errors.sort_by(f64::total_cmp);
    assert_eq!(errors.len(), 992);
    assert!(errors[496] < 1.0 / 7.0, "median relative error {}", errors[496]);
}

#[test]
fn address_blocks_are_the_databases_addresses_outside_the_overlay() {
    let bytes = write(
        "T",
        4,
        &[
            ("1.0.0.0/24", nested("Seoul", "KR", 37.57, 126.98)),
            ("1.0.1.0/24", nested("Tokyo", "JP", 35.68, 139.65)),
            ("255.255.255.0/24", nested("Busan", "KR", 35.18, 129.08)),
        ],
    );
    let database = Arc::new(Database::load(&bytes).unwrap());
    let overlay = "prefix,place,country,latitude,longitude\n1.0.0.64/26,London,GB,51.5,-0.1\n";
    let overlay = Overlay::parse(overlay.as_bytes()).unwrap();
    let atlas = Atlas::build(&database, &tables(), &overlay, &regions(&["ap-northeast-1"]), "ICN").unwrap();
    let blocks: Vec<_> = atlas.address_blocks().collect();
    let shown = |b: &perigee_geo::AddressBlock| (b.first.to_string(), b.count, atlas.place(b.place).city.to_string());
    let expected = [("1.0.0.0", 64, "Seoul"), ("1.0.0.128", 128, "Seoul"), ("1.0.1.0", 256, "Tokyo")];
    let expected = expected.into_iter().chain([("255.255.255.0", 256, "Busan")]);
    let expected: Vec<_> = expected.map(|(first, count, city)| (first.to_owned(), count, city.to_owned())).collect();
    assert_eq!(blocks.iter().map(shown).collect::<Vec<_>>(), expected);
    let last = blocks[3].address(255);
    assert_eq!((last, blocks[3].address(u64::MAX)), (std::net::Ipv4Addr::BROADCAST, last));
    for block in &blocks {
        for offset in 0..block.count {
            assert_eq!(atlas.locate(block.address(offset).into()).place_index, block.place);
        }
    }
}
