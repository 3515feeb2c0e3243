use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::Ipv4Addr;
use std::time::Duration;

use perigee_geo::{AddressBlock, Atlas, PlaceIndex, PopIndex, great_circle_km};
use perigee_model::{Location, RegionCode};

use super::{Behind, Kind, ResolverModel, Resolvers, SlotIndex, Stands, check_resolvers};
use crate::resolver::slot::Slot;
use crate::{Class, Invalid, Population};

impl Resolvers {
    /// Empty caches for the population, which was made with the same list and the same atlas. `regions` are the
    /// places that a resolver's `where` may name beside the edges.
    ///
    /// A near resolver serves the clients of one country and edge and stands where most of them live (Perigee's choice:
    /// a provider serves one country, and has its resolvers where its network meets the others).
    ///
    /// Errors: what [`check_resolvers`] finds, and a `where` that is neither a region nor an edge.
    pub fn new(
        models: &[ResolverModel],
        population: &Population,
        atlas: &Atlas,
        regions: &[(RegionCode, Location)],
    ) -> Result<Self, Invalid> {
        check_resolvers(models)?;
        let cities = Cities::new(atlas);
        let hubs = hubs(population, atlas);
        let mut far = Vec::with_capacity(models.len());
        for model in models {
            far.push(match &model.stands {
                Stands::Near => None,
                Stands::At(code) => Some(cities.nearest(atlas, find(model, code, atlas, regions)?)),
            });
        }
        let seconds = |s: u32| Duration::from_secs(s.into());
        let kinds = models.iter().map(|model| Kind {
            name: model.name.clone(),
            ttl_min: seconds(model.ttl_min_s),
            ttl_max: seconds(model.ttl_max_s),
            serve_stale: seconds(model.serve_stale_s),
            down: false,
        });
        let mut built = Self { kinds: kinds.collect(), slots: Vec::new(), behind: Vec::new() };
        let mut shared: BTreeMap<(usize, PlaceIndex), SlotIndex> = BTreeMap::new();
        for class in population.classes() {
            let resolver = class.resolver;
            let place = far[resolver].unwrap_or_else(|| hubs[&hub_key(class, atlas)].0);
            let slot = if models[resolver].ecs {
                built.add(resolver, class.place, &cities)
            } else {
                match shared.entry((resolver, place)) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => *new.insert(built.add(resolver, place, &cities)),
                }
            };
            built.behind.push(Behind { slot, place });
        }
        Ok(built)
    }

    fn add(&mut self, resolver: usize, place: PlaceIndex, cities: &Cities) -> SlotIndex {
        self.slots.push(Slot::new(resolver, place, cities.address(place)));
        SlotIndex((self.slots.len() - 1) as u32)
    }
}

/// The coordinates of the region or edge that the resolver's `where` names.
fn find(
    model: &ResolverModel,
    code: &str,
    atlas: &Atlas,
    regions: &[(RegionCode, Location)],
) -> Result<Location, Invalid> {
    let region = regions.iter().find(|(region, _)| region.as_str() == code).map(|(_, location)| *location);
    let edge = || atlas.find_pop(code).map(|pop| atlas.pops()[pop.0].location);
    region.or_else(edge).ok_or_else(|| {
        let problem = format!("{code:?} is no region and no edge; \"near\" is with the clients");
        Invalid::new(format!("resolver.{}.where", model.name), problem)
    })
}

/// Whom a near resolver serves: a country's clients at an edge.
type HubKey<'a> = (&'a str, PopIndex);

fn hub_key<'a>(class: &Class, atlas: &'a Atlas) -> HubKey<'a> {
    (&atlas.place(class.place).country, class.pop)
}

/// By country and edge, the place with the most clients, the first of equals, and how many.
fn hubs<'a>(population: &Population, atlas: &'a Atlas) -> BTreeMap<HubKey<'a>, (PlaceIndex, u64)> {
    let mut hubs: BTreeMap<HubKey<'a>, (PlaceIndex, u64)> = BTreeMap::new();
    for classes in population.classes().chunk_by(|a, b| a.place == b.place) {
        let clients = classes.iter().map(|class| class.clients).sum();
        let hub = hubs.entry(hub_key(&classes[0], atlas)).or_insert((classes[0].place, 0));
        if clients > hub.1 {
            *hub = (classes[0].place, clients);
        }
    }
    hubs
}

/// The largest block of every place with addresses, the first of equals.
struct Cities(BTreeMap<PlaceIndex, AddressBlock>);

impl Cities {
    fn new(atlas: &Atlas) -> Self {
        let mut largest: BTreeMap<PlaceIndex, AddressBlock> = BTreeMap::new();
        for block in atlas.address_blocks() {
            let known = largest.entry(block.place).or_insert(block);
            if block.count > known.count {
                *known = block;
            }
        }
        Self(largest)
    }

    /// The place with addresses that is nearest; the unknown place in a database without any.
    fn nearest(&self, atlas: &Atlas, to: Location) -> PlaceIndex {
        let km = |place: &PlaceIndex| atlas.location_of(*place).map_or(f64::INFINITY, |from| great_circle_km(from, to));
        let nearest = self.0.keys().map(|place| (km(place), *place)).min_by(|a, b| a.0.total_cmp(&b.0));
        nearest.map_or_else(|| atlas.unknown(), |(_, place)| place)
    }

    /// The middle of the place's largest block: away from its borders, where a /24 may belong to a neighbour.
    fn address(&self, place: PlaceIndex) -> Ipv4Addr {
        self.0.get(&place).map_or(Ipv4Addr::UNSPECIFIED, |block| block.address(block.count / 2))
    }
}
