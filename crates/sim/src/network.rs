//! Ways between places: how long they take, and what cuts do to them.

use std::sync::Arc;

use perigee_geo::{Atlas, PlaceIndex, PopIndex};
use perigee_model::Snapshot;

use crate::{Latency, NetworkModel, Stream};

/// Round trip from a place that nobody knows (Perigee's choice: half way round the globe).
const UNKNOWN_MS: f64 = 150.0;

/// One end of a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Region(usize),
    Edge(usize),
    /// Clients, edges and regions of a country.
    Country(String),
    All,
}

/// Something between two ends, either way round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The event it belongs to.
    pub(crate) event: usize,
    pub(crate) ends: [End; 2],
    /// Nanoseconds more on each round trip; none when nothing passes.
    pub(crate) add_ns: Option<u64>,
}

/// A way: its round trip, none when nothing passes.
pub(crate) type Way = Option<u64>;

/// Where clients are, and their ways to everything.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) place: PlaceIndex,
    pub(crate) country: Arc<str>,
    /// The edge that anycast takes them to.
    pub(crate) pop: usize,
    pub(crate) to_pop: Way,
    pub(crate) to_region: Vec<Way>,
}

#[derive(Clone, Debug)]
pub(crate) struct Network {
    model: NetworkModel,
    atlas: Arc<Atlas>,
    regions: Vec<String>,
    pop_to_region: Vec<Vec<Way>>,
    cuts: Vec<Cut>,
    dead_pops: Vec<usize>,
    stream: Stream,
}

struct Thing<'a> {
    region: Option<usize>,
    edge: Option<usize>,
    country: &'a str,
}

impl End {
    fn is(&self, thing: &Thing<'_>) -> bool {
        match self {
            Self::Region(i) => thing.region == Some(*i),
            Self::Edge(i) => thing.edge == Some(*i),
            Self::Country(code) => thing.country == code,
            Self::All => true,
        }
    }
}

impl Network {
    pub(crate) fn new(model: &NetworkModel, atlas: &Arc<Atlas>, snapshot: &Snapshot, seed: u64) -> Self {
        let mut network = Self {
            model: model.clone(),
            atlas: Arc::clone(atlas),
            regions: snapshot.regions.iter().map(|r| r.country.clone()).collect(),
            pop_to_region: Vec::new(),
            cuts: Vec::new(),
            dead_pops: Vec::new(),
            stream: Stream::named(seed, "network"),
        };
        network.refresh();
        network
    }

    /// The clients at a place, with their ways as they are now.
    pub(crate) fn source(&self, place: PlaceIndex) -> Source {
        let country = Arc::clone(&self.atlas.place(place).country);
        let mut source = Source { place, country, pop: 0, to_pop: None, to_region: Vec::new() };
        self.refresh_source(&mut source);
        source
    }

    /// Brings a source's ways up to date after a change.
    pub(crate) fn refresh_source(&self, source: &mut Source) {
        source.pop = self.pop_of(source.place);
        let of_pop = f64::from(self.atlas.client_to_pop_ms(source.place, PopIndex(source.pop)));
        let here = Thing { region: None, edge: None, country: &source.country };
        source.to_pop = self.way(of_pop + self.model.last_mile_ms, &here, &self.pop(source.pop));
        source.to_region = vec![None; self.regions.len()];
        for leg in self.atlas.order(source.place) {
            let ms = f64::from(leg.rtt_ms) + self.model.last_mile_ms;
            source.to_region[leg.region.0] = self.way(ms, &here, &self.region(leg.region.0));
        }
    }

    /// The way to an edge: the one that clients go by now, or one that an older connection goes by.
    pub(crate) fn to_edge(&self, source: &Source, pop: usize) -> Way {
        if pop == source.pop {
            return source.to_pop;
        }
        let ms = f64::from(self.atlas.client_to_pop_ms(source.place, PopIndex(pop))) + self.model.last_mile_ms;
        self.way(ms, &Thing { region: None, edge: None, country: &source.country }, &self.pop(pop))
    }

    /// The way to a place: by its edge. For questions to a resolver that stands there.
    pub(crate) fn to_place(&self, source: &Source, place: PlaceIndex) -> Way {
        self.to_edge(source, self.atlas.pop(place).0)
    }

    /// The way from a resolver to the DNS server, which answers at every edge: to the nearest one.
    pub(crate) fn dns_way(&self, place: PlaceIndex) -> Way {
        let pop = self.pop_of(place);
        let country = &self.atlas.place(place).country;
        let ms = f64::from(self.atlas.client_to_pop_ms(place, PopIndex(pop)));
        self.way(ms, &Thing { region: None, edge: None, country }, &self.pop(pop))
    }

    /// The nearest edge that is alive.
    fn pop_of(&self, place: PlaceIndex) -> usize {
        let nearest = self.atlas.pop(place).0;
        if !self.dead_pops.contains(&nearest) {
            return nearest;
        }
        let mut pops = Vec::new();
        self.atlas.pops_by_distance(place, &mut pops);
        pops.into_iter().map(|p| p.0).find(|p| !self.dead_pops.contains(p)).unwrap_or(nearest)
    }

    /// The way from an edge to a region.
    pub(crate) fn edge_to_region(&self, pop: usize, region: usize) -> Way {
        self.pop_to_region[pop][region]
    }

    pub(crate) fn add_cut(&mut self, cut: Cut) {
        self.cuts.push(cut);
        self.refresh();
    }

    /// Removes the cuts of an event; true if there were any.
    pub(crate) fn mend(&mut self, event: usize) -> bool {
        let before = self.cuts.len();
        self.cuts.retain(|cut| cut.event != event);
        let changed = self.cuts.len() != before;
        if changed {
            self.refresh();
        }
        changed
    }

    pub(crate) fn set_pop(&mut self, pop: usize, alive: bool) {
        self.dead_pops.retain(|p| *p != pop);
        if !alive {
            self.dead_pops.push(pop);
        }
    }

    /// A round trip that takes place now: its time with jitter.
    pub(crate) fn with_jitter(&mut self, rtt_ns: u64) -> u64 {
        if self.model.jitter > 0.0 {
            rtt_ns + self.stream.exponential(rtt_ns as f64 * self.model.jitter) as u64
        } else {
            rtt_ns
        }
    }

    /// Whether a packet is lost.
    pub(crate) fn loses(&mut self) -> bool {
        self.model.loss > 0.0 && self.stream.chance(self.model.loss)
    }

    /// Whether nothing here is left to chance.
    pub(crate) fn is_certain(&self) -> bool {
        self.model.loss <= 0.0 && self.model.jitter <= 0.0
    }

    /// What loss adds to a request and its answer: each of the two may be lost and sent again.
    pub(crate) fn resend(&mut self, rtt_ns: u64) -> u64 {
        const LEAST_NS: u64 = 200_000_000;
        let mut added = 0;
        let mut timer = rtt_ns.max(LEAST_NS);
        for _ in 0..2 {
            while self.loses() {
                added += timer;
                timer = timer.saturating_mul(2).min(60_000_000_000);
            }
        }
        added
    }

    fn refresh(&mut self) {
        let pops = self.atlas.pops().len();
        let mut table = vec![vec![None; self.regions.len()]; pops];
        for (pop, row) in table.iter_mut().enumerate() {
            for leg in self.atlas.pop_order(PopIndex(pop)) {
                let region = leg.region.0;
                row[region] = self.way(f64::from(leg.rtt_ms), &self.pop(pop), &self.region(region));
            }
        }
        self.pop_to_region = table;
    }

    fn pop(&self, pop: usize) -> Thing<'_> {
        Thing { region: None, edge: Some(pop), country: &self.atlas.pops()[pop].country }
    }

    fn region(&self, region: usize) -> Thing<'_> {
        Thing { region: Some(region), edge: None, country: &self.regions[region] }
    }

    fn way(&self, ms: f64, a: &Thing<'_>, b: &Thing<'_>) -> Way {
        let ms = if ms.is_finite() { ms } else { UNKNOWN_MS };
        let base = match self.model.latency {
            Latency::None => (self.model.hop_us * 1e3) as u64,
            Latency::Measured => (ms * 1e6) as u64,
        };
        let between = |cut: &&Cut| {
            let [x, y] = &cut.ends;
            (x.is(a) && y.is(b)) || (x.is(b) && y.is(a))
        };
        self.cuts.iter().filter(between).try_fold(base, |ns, cut| cut.add_ns.map(|add| ns + add))
    }
}
