use ipnet::IpNet;
use thiserror::Error;

/// Why geographic data was refused. Nothing is half-loaded: the caller keeps what it had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GeoError {
    /// The bytes are no MaxMind database, or a damaged one.
    #[error("not a usable MaxMind database: {0}")]
    Database(#[from] maxminddb::MaxMindDbError),
    /// The search tree has more networks than a tree of its size can have: it shares or repeats nodes.
    #[error("the database's search tree yields more than {limit} networks, more than its size allows")]
    TooManyNetworks {
        /// The bound, from the number of nodes.
        limit: u64,
    },
    /// A readable database that knows neither a country nor a location, such as an ASN database.
    #[error("the database ({kind}) has no places: expected a GeoIP2, GeoLite2 or DB-IP city or country database")]
    NoPlaces {
        /// The type that the database states.
        kind: String,
    },
    /// A line of one of the tables is wrong.
    #[error("{table}, line {line}: {problem}")]
    Table {
        /// Which table: `regions`, `region round trips`, `edge locations` or `overlay`.
        table: &'static str,
        /// The line, from 1.
        line: u64,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// A prefix of the overlay cannot be used.
    #[error("overlay prefix {prefix}: {problem}")]
    Overlay {
        /// The prefix.
        prefix: IpNet,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The overlay is longer than [`Overlay::MAX_ENTRIES`](crate::Overlay::MAX_ENTRIES).
    #[error("the overlay has {entries} prefixes, at most {max} are accepted")]
    OverlayTooLong {
        /// How many it has.
        entries: usize,
        /// The bound.
        max: usize,
    },
    /// The operator's own place is neither a place of the overlay nor an edge.
    #[error("no place is called {here:?}; known are {known}, and every edge by city or code")]
    UnknownPlace {
        /// The name that was asked for.
        here: String,
        /// The places of the overlay.
        known: String,
    },
    /// No region was given, so there is nothing to order.
    #[error("at least one region is needed")]
    NoRegions,
}
