use perigee_geo::{Atlas, Direction, PlaceIndex};
use perigee_model::dns::GeoLocation;

use super::{Classes, Located, RESOLVER, listed};

/// The smallest area around the client, then the larger ones (Route 53 developer guide, "Geolocation routing").
///
/// Behind them, for clients whose areas lack a type that another branch has, the other branches by the distance of
/// their areas' middles (`spec/dns.md`, E15c). Unknown places belong to the default branch, without one the resolver's
/// place decides; private networks always take the resolver's (E18).
pub(super) fn build(areas: &[(GeoLocation, u64)], atlas: &Atlas) -> Located {
    let middles: Vec<Option<Direction>> = areas.iter().map(|(area, _)| middle(atlas, area)).collect();
    let all_kinds = areas.iter().fold(0, |all, (_, kinds)| all | kinds);
    let mut classes = Classes::default();
    let mut class_of = |place: PlaceIndex| {
        let mut matched: Vec<usize> = (0..areas.len()).filter(|i| holds(atlas, &areas[*i].0, place)).collect();
        matched.sort_by_key(|i| std::cmp::Reverse(rank(&areas[*i].0)));
        let kinds = matched.iter().fold(0, |kinds, i| kinds | areas[*i].1);
        let mut rest: Vec<usize> = Vec::new();
        if kinds != all_kinds {
            rest.extend((0..areas.len()).filter(|i| !matched.contains(i)));
            let from = atlas.location_of(place).map(Direction::of);
            let km = |i: &usize| from.zip(middles[*i]).map_or(f64::INFINITY, |(from, middle)| from.km(middle));
            rest.sort_by(|a, b| km(a).total_cmp(&km(b)));
        }
        classes.class(matched.into_iter().map(listed).collect(), rest.into_iter().map(listed).collect())
    };
    let of_places: Vec<u32> = atlas.places().map(&mut class_of).collect();
    let unknown = of_places[of_places.len() - 1];
    let has_default = areas.iter().any(|(area, _)| *area == GeoLocation::Default);
    let only_one = classes.len() == 1;
    let of_unknown = if has_default || only_one { unknown } else { RESOLVER };
    let places: std::collections::BTreeMap<_, _> = atlas.places().zip(of_places).collect();
    let class_at = |place| if place == atlas.unknown() { of_unknown } else { places[&place] };
    let partition = atlas.partition(class_at, (!only_one).then_some(RESOLVER));
    classes.finish(partition, unknown)
}

/// Smaller areas rank higher.
fn rank(area: &GeoLocation) -> u8 {
    match area {
        GeoLocation::Default => 0,
        GeoLocation::Continent(_) => 1,
        GeoLocation::Country(_) => 2,
        GeoLocation::Subdivision(_) => 3,
    }
}

fn holds(atlas: &Atlas, area: &GeoLocation, place: PlaceIndex) -> bool {
    match area {
        GeoLocation::Default => true,
        GeoLocation::Continent(code) => atlas.continent_of(place) == Some(code),
        GeoLocation::Country(code) => *atlas.place(place).country == **code,
        GeoLocation::Subdivision(code) => atlas.subdivision_of(place) == Some(code),
    }
}

/// The middle of the area's places; the default branch, which is everywhere, has none.
pub(in crate::policy) fn middle(atlas: &Atlas, area: &GeoLocation) -> Option<Direction> {
    if *area == GeoLocation::Default {
        return None;
    }
    atlas.middle_of(|place| holds(atlas, area, place))
}
