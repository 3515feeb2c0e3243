use std::sync::Arc;

use ipnet::IpNet;
use perigee_config::Config;
use perigee_geo::{Atlas, Database, Overlay, OverlayEntry, Place, Tables, shipped};
use perigee_model::{Location, RegionCode, Snapshot};

/// The geographic data of a process: read once, made into an atlas for each configuration.
#[derive(Debug)]
pub(crate) struct Geography {
    database: Arc<Database>,
    tables: Tables,
    shipped_overlay: Overlay,
    /// Whose data it is, to be shown with results; none for the user's own database.
    pub(crate) attribution: Option<&'static str>,
}

impl Geography {
    /// Loads the shipped data, or the user's own database with the shipped tables.
    pub(crate) fn load(config: &Config) -> Result<Self, String> {
        let (database, attribution) = match &config.runtime.geo_file {
            Some(file) => {
                let bytes = std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))?;
                let database = Database::load(&bytes).map_err(|e| format!("{}: {e}", file.display()))?;
                (database, None)
            }
            None => (Database::load(shipped::CITY).map_err(|e| e.to_string())?, Some(shipped::ATTRIBUTION)),
        };
        let tables = Tables::parse(shipped::REGIONS, shipped::REGION_RTT, shipped::EDGES).map_err(|e| e.to_string())?;
        let shipped_overlay = Overlay::parse(shipped::OVERLAY).map_err(|e| e.to_string())?;
        Ok(Self { database: Arc::new(database), tables, shipped_overlay, attribution })
    }

    /// The atlas of a configuration. Errors are worded with file and line where they come from one.
    pub(crate) fn atlas(&self, config: &Config) -> Result<Arc<Atlas>, String> {
        self.atlas_for(config, &config.snapshot)
    }

    /// The same for the regions of another snapshot: the places are the configuration's.
    pub(crate) fn atlas_for(&self, config: &Config, snapshot: &Snapshot) -> Result<Arc<Atlas>, String> {
        let regions: Vec<(RegionCode, Location)> =
            snapshot.regions.iter().map(|r| (r.code.clone(), r.location)).collect();
        let overlay = self.overlay(config)?;
        Atlas::build(&self.database, &self.tables, &overlay, &regions, &config.runtime.here)
            .map(Arc::new)
            .map_err(|e| config.problem("here", &e.to_string()).to_string())
    }

    /// Regions, edges and round trips.
    pub(crate) const fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The configuration's prefixes with the places that their names mean.
    fn overlay(&self, config: &Config) -> Result<Overlay, String> {
        let mut entries: Vec<OverlayEntry> = Vec::new();
        for (prefix, name) in &config.runtime.overlay {
            let place = self.place(name).ok_or_else(|| {
                let key = format!("overlay.{prefix}");
                let known = self.known_places().join(", ");
                config
                    .problem(&key, &format!("{name:?} is no known place; there are {known} and the edges' cities"))
                    .to_string()
            })?;
            entries.push(OverlayEntry { prefix: *prefix, place: Some(place) });
        }
        let given: Vec<IpNet> = entries.iter().map(|e| e.prefix).collect();
        entries.extend(self.shipped_overlay.entries.iter().filter(|e| !given.contains(&e.prefix)).cloned());
        Ok(Overlay { entries })
    }

    fn place(&self, name: &str) -> Option<Place> {
        let of_overlay = self.shipped_overlay.entries.iter().filter_map(|e| e.place.as_ref());
        let edge =
            |e: &&perigee_geo::Pop| e.city.eq_ignore_ascii_case(name) || e.code.as_str().eq_ignore_ascii_case(name);
        of_overlay.into_iter().find(|p| p.city.eq_ignore_ascii_case(name)).cloned().or_else(|| {
            let pop = self.tables.edges().iter().find(edge)?;
            Some(Place {
                city: pop.city.as_str().into(),
                country: pop.country.as_str().into(),
                location: Some(pop.location),
            })
        })
    }

    fn known_places(&self) -> Vec<String> {
        self.shipped_overlay.entries.iter().filter_map(|e| e.place.as_ref()).map(|p| p.city.to_string()).collect()
    }
}
