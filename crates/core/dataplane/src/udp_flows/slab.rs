use perigee_model::Instant;
use perigee_steering::Flow;

/// No place.
const NONE: u32 = u32::MAX;
/// Generations stay below this, so that an identifier leaves a bit free.
const GENERATIONS: u32 = 1 << 31;

/// Flows in numbered places, and two lists through them: the free places, and the flows by their last datagram.
#[derive(Debug)]
pub(super) struct Slab<F> {
    places: Vec<Place<F>>,
    /// First of the free places, which hang together by `younger`.
    free: u32,
    oldest: u32,
    youngest: u32,
    len: usize,
}

#[derive(Debug)]
struct Place<F> {
    /// How many flows were here before, modulo [`GENERATIONS`].
    generation: u32,
    older: u32,
    younger: u32,
    held: Option<Held<F>>,
}

#[derive(Debug)]
struct Held<F> {
    flow: Flow,
    last: Instant,
    kept: F,
}

impl<F> Default for Slab<F> {
    fn default() -> Self {
        Self { places: Vec::new(), free: NONE, oldest: NONE, youngest: NONE, len: 0 }
    }
}

impl<F> Slab<F> {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The flow whose last datagram came longest ago.
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// The next one after `place` in that order.
    pub(super) fn younger(&self, place: u32) -> Option<u32> {
        self.place(place).map(|p| p.younger).filter(|younger| *younger != NONE)
    }

    /// Puts a flow into a place, as the youngest; gives place and generation.
    ///
    /// Panics beyond four billion flows, which no limit allows.
    pub(super) fn insert(&mut self, flow: Flow, kept: F, now: Instant) -> (u32, u32) {
        let held = Some(Held { flow, last: now, kept });
        let place = if self.free == NONE {
            let place = u32::try_from(self.places.len()).expect("a limit of flows is a 32-bit number");
            self.places.push(Place { generation: 0, older: NONE, younger: NONE, held });
            place
        } else {
            let place = self.free;
            let at = &mut self.places[place as usize];
            self.free = at.younger;
            at.held = held;
            place
        };
        self.len += 1;
        self.link(place);
        (place, self.places[place as usize].generation)
    }

    /// Takes the flow out of `place`. None: there is none.
    pub(super) fn remove(&mut self, place: u32) -> Option<(Flow, F, Instant)> {
        let held = self.places.get_mut(place as usize)?.held.take()?;
        self.unlink(place);
        let at = &mut self.places[place as usize];
        at.generation = (at.generation + 1) % GENERATIONS;
        at.younger = self.free;
        self.free = place;
        self.len -= 1;
        Some((held.flow, held.kept, held.last))
    }

    /// Makes the flow at `place` the youngest, with its last datagram at `now`; gives its generation.
    pub(super) fn renew(&mut self, place: u32, now: Instant) -> Option<u32> {
        let at = self.places.get_mut(place as usize)?;
        at.held.as_mut()?.last = now;
        let generation = at.generation;
        if self.youngest != place {
            self.unlink(place);
            self.link(place);
        }
        Some(generation)
    }

    pub(super) fn last(&self, place: u32) -> Option<Instant> {
        self.place(place)?.held.as_ref().map(|held| held.last)
    }

    pub(super) fn at(&self, place: u32) -> Option<(&Flow, &F)> {
        self.place(place)?.held.as_ref().map(|held| (&held.flow, &held.kept))
    }

    pub(super) fn at_mut(&mut self, place: u32) -> Option<(&Flow, &mut F)> {
        let held = self.places.get_mut(place as usize)?.held.as_mut()?;
        Some((&held.flow, &mut held.kept))
    }

    pub(super) fn flow(&self, place: u32, generation: u32) -> Option<&Flow> {
        self.of(place, generation).map(|held| &held.flow)
    }

    pub(super) fn get(&self, place: u32, generation: u32) -> Option<&F> {
        self.of(place, generation).map(|held| &held.kept)
    }

    pub(super) fn get_mut(&mut self, place: u32, generation: u32) -> Option<&mut F> {
        let at = self.places.get_mut(place as usize).filter(|at| at.generation == generation)?;
        at.held.as_mut().map(|held| &mut held.kept)
    }

    fn of(&self, place: u32, generation: u32) -> Option<&Held<F>> {
        self.place(place).filter(|at| at.generation == generation)?.held.as_ref()
    }

    fn place(&self, place: u32) -> Option<&Place<F>> {
        self.places.get(place as usize)
    }

    /// Hangs `place` on the young end of the list.
    fn link(&mut self, place: u32) {
        let older = std::mem::replace(&mut self.youngest, place);
        let at = &mut self.places[place as usize];
        (at.older, at.younger) = (older, NONE);
        match self.places.get_mut(older as usize) {
            Some(older) => older.younger = place,
            None => self.oldest = place,
        }
    }

    /// Takes `place` out of the list.
    fn unlink(&mut self, place: u32) {
        let Place { older, younger, .. } = self.places[place as usize];
        match self.places.get_mut(older as usize) {
            Some(older) => older.younger = younger,
            None => self.oldest = younger,
        }
        match self.places.get_mut(younger as usize) {
            Some(younger) => younger.older = older,
            None => self.youngest = older,
        }
    }
}
