use std::collections::BTreeMap;
use std::sync::Arc;

use perigee_model::{Location, RegionCode};

use super::orders::{Estimator, OrdersBuilder};
use super::scope::{Scopes, UNKNOWN};
use super::{Atlas, PlaceIndex, PopIndex};
use crate::areas::continents;
use crate::database::NO_PLACE;
use crate::distance::Direction;
use crate::overlay::OverlayMaps;
use crate::{Database, GeoError, Overlay, Place, Tables};

impl Atlas {
    /// Computes everything for `regions`, the snapshot's in its order: the `i`-th is `RegionIndex(i)`.
    ///
    /// `here` names the operator's own place: a city of the overlay, or the city or code of an edge, whatever the
    /// case. Regions that the tables do not know are taken by their location. Deterministic; cheap enough for every
    /// reload.
    ///
    /// Errors: no region, an unknown `here`, a prefix of the overlay that is malformed, given twice or one of
    /// transition addresses.
    pub fn build(
        database: &Arc<Database>,
        tables: &Tables,
        overlay: &Overlay,
        regions: &[(RegionCode, Location)],
        here: &str,
    ) -> Result<Self, GeoError> {
        if regions.is_empty() {
            return Err(GeoError::NoRegions);
        }
        overlay.check()?;
        let here = find_here(tables, overlay, here)?;

        let base = database.places.len();
        let mut own_places: Vec<Place> = Vec::new();
        let mut index_of = |place: &Place| {
            let known = own_places.iter().position(|p| p == place);
            let position = known.unwrap_or_else(|| {
                own_places.push(place.clone());
                own_places.len() - 1
            });
            PlaceIndex((base + position) as u32)
        };
        let (named, of_here): (Vec<_>, Vec<_>) = overlay.entries.iter().partition(|e| e.place.is_some());
        let entries = named.into_iter().chain(of_here);
        let prefixes: Vec<_> = entries.map(|e| (e.prefix, index_of(e.place.as_ref().unwrap_or(&here)))).collect();
        let here = index_of(&here);
        own_places.push(Place::unknown());
        let flat: Vec<_> = prefixes.iter().map(|(prefix, place)| (*prefix, place.0)).collect();
        let overlay = OverlayMaps::new(&flat);

        let pops = tables.edges().to_vec();
        let pop_directions: Vec<_> = pops.iter().map(|p| Direction::of(p.location)).collect();
        let mut stand_ins = BTreeMap::new();
        let mut locations = Vec::with_capacity(base + own_places.len());
        for place in database.places.iter().chain(&own_places) {
            locations.push(place.location.or_else(|| {
                let location = tables.country_stand_in(&place.country)?;
                Some(*stand_ins.entry(Arc::clone(&place.country)).or_insert(location))
            }));
        }
        let nearest_pop = |location: Location| Direction::of(location).nearest(&pop_directions, |_| true);
        let pop_of_here = locations[here.0 as usize].and_then(nearest_pop).unwrap_or(0);
        let mut orders = OrdersBuilder::new(Estimator::new(tables, regions));
        for location in &locations {
            orders.place(*location, PopIndex(location.and_then(nearest_pop).unwrap_or(pop_of_here)));
        }
        for pop in &pops {
            orders.pop(pop.location);
        }
        let orders = orders.finish();

        // With one sequence the answer is the same whoever asks, and known or not makes no difference.
        let unknown = orders.only_sequence().unwrap_or(UNKNOWN);
        let sequence_of = |place| if place == NO_PLACE { unknown } else { orders.sequence_of_place(place) };
        let scopes = Scopes::new(database, &overlay, sequence_of);
        Ok(Self {
            database: Arc::clone(database),
            own_places,
            overlay,
            prefixes,
            here,
            stand_ins,
            continents: continents(&database.continents, tables),
            pops,
            pop_directions,
            orders,
            scopes,
        })
    }
}

/// The place called `here`: of the overlay first, then the edges by city, then by code.
fn find_here(tables: &Tables, overlay: &Overlay, here: &str) -> Result<Place, GeoError> {
    let places = || overlay.entries.iter().filter_map(|e| e.place.as_ref());
    if let Some(place) = places().find(|p| p.city.eq_ignore_ascii_case(here)) {
        return Ok(place.clone());
    }
    let by_city = tables.edges().iter().find(|e| e.city.eq_ignore_ascii_case(here));
    let by_code = || tables.edges().iter().find(|e| e.code.as_str().eq_ignore_ascii_case(here));
    match by_city.or_else(by_code) {
        Some(edge) => Ok(Place {
            city: edge.city.as_str().into(),
            country: edge.country.as_str().into(),
            location: Some(edge.location),
        }),
        None => {
            let known: Vec<&str> = places().map(|p| &*p.city).collect();
            Err(GeoError::UnknownPlace { here: here.to_owned(), known: known.join(", ") })
        }
    }
}
