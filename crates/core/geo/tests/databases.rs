//! Databases of every layout, and of none.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test fails by panic and shares its support")]

mod support;

use perigee_geo::{Database, GeoError, Origin, shipped};
use proptest::prelude::*;
use support::mmdb::Value::{Double, Int, Map, Text};
use support::mmdb::{names, nested, write, write_shared_nodes};
use support::{atlas_of, ip};

const TWO: &[&str] = &["ap-northeast-1", "ap-northeast-2"];

#[test]
fn a_nested_city_database_is_read() {
    let bytes = write(
        "GeoLite2-City",
        6,
        &[
            ("1.2.0.0/16", nested("Seoul", "KR", 37.57, 126.98)),
            ("1.2.3.0/24", nested("Tokyo", "JP", 35.68, 139.65)),
            ("2400::/12", nested("Tokyo", "JP", 35.68, 139.65)),
        ],
    );
    let atlas = atlas_of(&bytes, TWO).unwrap();
    for (address, expected) in [
        ("1.2.0.1", "Seoul, KR"),
        ("1.2.3.255", "Tokyo, JP"),
        ("1.2.4.0", "Seoul, KR"),
        ("2400:1::", "Tokyo, JP"),
        ("::ffff:1.2.3.4", "Tokyo, JP"),
        ("1.3.0.0", "unknown place"),
        ("2600::", "unknown place"),
        ("::1.2.3.4", "unknown place"),
    ] {
        assert_eq!(atlas.locate(ip(address)).place.to_string(), expected, "{address}");
    }
    let [v4, v6] = ["1.2.3.4", "2400::1"].map(|a| atlas.locate(ip(a)).place_index);
    assert_eq!(v4, v6, "records of equal content are one place");
    assert_eq!(atlas.locate(ip("1.3.0.0")).origin, Origin::Unknown);
}

#[test]
fn a_flat_database_is_read_with_numbers_and_with_text() {
    let flat = |city, fields: Vec<(&'static str, support::mmdb::Value)>| {
        Map([vec![("city", Text(city)), ("asn", Text("AS1"))], fields].concat())
    };
    let bytes = write(
        "a flat database",
        4,
        &[
            (
                "1.0.0.0/24",
                flat(
                    "A",
                    vec![
                        ("country_code", Text("KR")),
                        ("country", Text("South Korea")),
                        ("latitude", Double(37.5)),
                        ("longitude", Double(127.0)),
                    ],
                ),
            ),
            ("1.0.1.0/24", flat("B", vec![("country", Text("kr")), ("lat", Text("37.5")), ("lng", Text(" 127.0 "))])),
            (
                "1.0.2.0/24",
                flat("C", vec![("country", Text("KR")), ("latitude", Text("37.5")), ("longitude", Int(127))]),
            ),
            ("1.0.3.0/24", flat("D", vec![("country", Text("KR")), ("lat", Double(37.5)), ("lon", Double(127.0))])),
        ],
    );
    let atlas = atlas_of(&bytes, TWO).unwrap();
    for (i, city) in ["A", "B", "C", "D"].iter().enumerate() {
        let place = atlas.locate(ip(&format!("1.0.{i}.9"))).place;
        assert_eq!((&*place.city, &*place.country), (*city, "KR"));
        let location = place.location.unwrap();
        assert_eq!((location.latitude, location.longitude), (37.5, 127.0), "{city}");
    }
    assert_eq!(atlas.locate(ip("2001:200::1")).origin, Origin::Unknown, "the database has no IPv6");
}

#[test]
fn a_country_database_takes_the_countrys_stand_in() {
    let country = |code| Map(vec![("country", Map(vec![("iso_code", Text(code))]))]);
    let registered = Map(vec![("registered_country", Map(vec![("iso_code", Text("JP"))]))]);
    let bytes = write(
        "GeoLite2-Country",
        6,
        &[
            ("1.0.0.0/16", country("US")),
            ("1.1.0.0/16", country("KR")),
            ("1.2.0.0/16", country("AR")),
            ("1.3.0.0/16", country("MN")),
            ("1.4.0.0/16", registered),
        ],
    );
    let atlas = atlas_of(&bytes, &["ap-northeast-1", "ap-northeast-2", "us-east-1", "us-west-1", "sa-east-1"]).unwrap();
    let seen = |address| {
        let located = atlas.locate(ip(address));
        assert_eq!(located.place.location, None);
        let first = atlas.order(located.place_index)[0].region.0;
        (located.place.to_string(), first, atlas.pops()[atlas.pop(located.place_index).0].code.to_string())
    };
    assert_eq!(seen("1.0.0.1"), ("US".into(), 2, "IAD".into()), "the region with the most zones stands in");
    assert_eq!(seen("1.1.0.1"), ("KR".into(), 1, "ICN".into()));
    assert_eq!(seen("1.2.0.1"), ("AR".into(), 4, "EZE".into()), "without a region it is an edge");
    assert_eq!(seen("1.4.0.1"), ("JP".into(), 0, "NRT".into()));
    assert_eq!(seen("1.3.0.1"), ("MN".into(), 0, "ICN".into()), "without either: codes, and the operator's edge");
    let nowhere = atlas.locate(ip("1.3.0.1"));
    assert_eq!(nowhere.origin, Origin::Database);
    assert!(atlas.order(nowhere.place_index)[0].rtt_ms.is_infinite());
}

#[test]
fn names_without_a_city_fall_back_to_the_state_and_lose_control_characters() {
    let bytes = write(
        "Test-City",
        4,
        &[
            ("1.0.0.0/24", Map(vec![("subdivisions", support::mmdb::Value::List(vec![names("Jeju"), names("x")]))])),
            ("1.0.1.0/24", nested("Se\u{1b}[31moul\n", "KR", 91.0, 127.0)),
        ],
    );
    let database = Database::load(&bytes);
    let atlas = atlas_of(&bytes, TWO);
    // Neither record has a location, but one has a country.
    assert!(database.is_ok());
    let atlas = atlas.unwrap();
    assert_eq!(atlas.locate(ip("1.0.0.1")).place.to_string(), "Jeju");
    let place = atlas.locate(ip("1.0.1.1")).place;
    assert_eq!((&*place.city, place.location), ("Se[31moul", None), "91 degrees north is no location");
}

#[test]
fn a_database_without_places_is_refused() {
    let bytes = write("GeoLite2-ASN", 6, &[("1.0.0.0/8", Map(vec![("autonomous_system_number", Int(1))]))]);
    assert!(matches!(Database::load(&bytes), Err(GeoError::NoPlaces { kind }) if kind == "GeoLite2-ASN"));
}

#[test]
fn ipv6_entries_below_a_48_fold_to_the_place_of_most_addresses() {
    let bytes = write(
        "Test-City",
        6,
        &[
            ("2400:1:1::/48", nested("Seoul", "KR", 37.57, 126.98)),
            ("2400:1:1::/50", nested("Tokyo", "JP", 35.68, 139.65)),
            ("2400:1:2::/49", nested("Tokyo", "JP", 35.68, 139.65)),
            ("2400:1:2:8000::/49", nested("Seoul", "KR", 37.57, 126.98)),
        ],
    );
    let atlas = atlas_of(&bytes, TWO).unwrap();
    assert_eq!(atlas.locate(ip("2400:1:1::1")).place.to_string(), "Seoul, KR");
    assert_eq!(atlas.locate(ip("2400:1:2:ffff::1")).place.to_string(), "Tokyo, JP", "of equals the lower prefix");
    assert!(atlas.scope(ip("2400:1:1::1"), 56) <= 48);
}

#[test]
fn a_tree_of_shared_nodes_ends_with_an_error() {
    for depth in [40, 100, 128, 200] {
        let loaded = Database::load(&write_shared_nodes(depth));
        assert!(loaded.is_err(), "depth {depth}: {loaded:?}");
    }
}

#[test]
fn garbage_is_refused() {
    for bytes in [&b""[..], b"garbage", &[0; 4_096], b"\xab\xcd\xefMaxMind.com", &shipped::CITY[..1_000_000]] {
        assert!(Database::load(bytes).is_err());
    }
    let whole = write("Test-City", 6, &[("1.2.0.0/16", nested("Seoul", "KR", 37.57, 126.98))]);
    for len in 0..whole.len() {
        assert!(Database::load(&whole[..len]).is_err(), "cut to {len} bytes");
    }
}

proptest! {
    #[test]
    fn a_damaged_database_is_an_error_or_a_database_but_never_a_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = write(
            "Test-City",
            6,
            &[("1.2.0.0/16", nested("Seoul", "KR", 37.57, 126.98)), ("2400::/12", nested("Tokyo", "JP", 35.68, 139.65))],
        );
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(atlas) = atlas_of(&bytes, TWO) {
            prop_assert_eq!(atlas.order(atlas.locate(ip("1.2.3.4")).place_index).len(), 2);
        }
    }
}
