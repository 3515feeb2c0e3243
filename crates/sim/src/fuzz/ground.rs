use std::sync::{Arc, OnceLock};

use perigee_geo::{Atlas, Database, Overlay, Tables, shipped};
use perigee_model::{Location, RegionCode};

use super::stack_of;
use crate::{Scenario, StackShape, World};

/// Sets of regions, each in code order: near and far ones, one continent and several, two to five.
const SETS: [&[&str]; 12] = [
    &["ap-northeast-1", "ap-northeast-2"],
    &["us-east-1", "us-west-2"],
    &["eu-central-1", "eu-west-1", "eu-west-2"],
    &["ap-northeast-1", "eu-central-1", "us-east-1"],
    &["ap-south-1", "ap-southeast-1", "me-central-1"],
    &["af-south-1", "eu-west-3", "sa-east-1"],
    &["ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-southeast-1"],
    &["ca-central-1", "us-east-1", "us-east-2", "us-west-1"],
    &["ap-southeast-2", "eu-west-2", "sa-east-1", "us-west-2"],
    &["ap-east-1", "ap-northeast-2", "ap-southeast-1", "ap-southeast-2", "us-west-2"],
    &["eu-central-1", "eu-north-1", "eu-south-1", "eu-west-1", "us-east-1"],
    &["ap-northeast-1", "ap-south-1", "eu-west-1", "sa-east-1", "us-east-1"],
];

/// What the worlds of all seeds are made of: the shipped geographic data, and an atlas for each of a dozen sets of
/// regions, made when it is needed first. Shared between threads.
#[derive(Debug)]
pub struct FuzzGround {
    database: Arc<Database>,
    tables: Tables,
    overlay: Overlay,
    atlases: [OnceLock<Result<Arc<Atlas>, String>>; SETS.len()],
}

impl FuzzGround {
    /// Reads the shipped data; takes some tenths of a second. Errors: in words; data that cannot be read, a bug.
    pub fn new() -> Result<Self, String> {
        let text = |e: perigee_geo::GeoError| e.to_string();
        Ok(Self {
            database: Arc::new(Database::load(shipped::CITY).map_err(text)?),
            tables: Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).map_err(text)?,
            overlay: Overlay::parse(shipped::OVERLAY).map_err(text)?,
            atlases: Default::default(),
        })
    }

    /// How many sets of regions there are.
    pub(super) const fn sets(&self) -> usize {
        SETS.len()
    }

    /// The regions of a set.
    pub(super) const fn regions(&self, set: usize) -> &'static [&'static str] {
        SETS[set]
    }

    /// Names of places that clients can be at.
    pub(super) fn places(&self) -> Vec<String> {
        self.overlay.entries.iter().filter_map(|e| e.place.as_ref()).map(|p| p.city.to_string()).collect()
    }

    /// The world of a scenario whose regions are one of the sets. Errors: they are none.
    pub(super) fn world(&self, scenario: &Scenario) -> Result<World, String> {
        let shape: &StackShape = scenario.stack.as_ref().ok_or("a scenario without a stack")?;
        let set =
            SETS.iter().position(|set| set.iter().eq(shape.regions.iter())).ok_or("no set of regions is like this")?;
        let snapshot = stack_of(shape, &self.tables)?;
        let regions: Vec<(RegionCode, Location)> =
            snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let build = || {
            let atlas = Atlas::build(&self.database, &self.tables, &self.overlay, &regions, "Seoul");
            atlas.map(Arc::new).map_err(|e| e.to_string())
        };
        let atlas = self.atlases[set].get_or_init(build).clone()?;
        Ok(World { snapshot: Arc::new(snapshot), atlas, attribution: shipped::ATTRIBUTION.to_owned() })
    }
}
