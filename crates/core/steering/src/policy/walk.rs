use perigee_balance::{FlowKey, Seed, score};

use super::decision::lowered;
use super::draw::{below, cut, prefix_bound, split};
use super::node::{Branch, Choice, Rule, Tree, What};
use super::{
    DnsClient, NodeIndex, PICKED_MAX, Pass, Picked, PolicyDecision, PolicyNote, PolicyReason, PolicyTrace, RecordKind,
    TreeIndex, TreeStates, Trees,
};

/// Nodes that one decision visits at most (Perigee's choice). Only names that alias one another many times over and
/// disappoint this client everywhere come near; they then fail open.
const STEPS_MAX: u32 = 4_096;

impl Trees {
    /// What `tree` answers a client asking for `kind`: pure, without locks and heap.
    ///
    /// `draw` is a uniform random number for the weighted policy; everything else is the same on every server. `states`
    /// must be made from these trees.
    pub fn decide(
        &self,
        states: &TreeStates,
        tree: TreeIndex,
        kind: RecordKind,
        client: &DnsClient,
        draw: u64,
        trace: &mut impl PolicyTrace,
    ) -> PolicyDecision {
        let Tree { root, no_match_is_empty, lowers_ttl, scopes } = self.tree(tree);
        let mut decision = PolicyDecision {
            leaves: Picked::NONE,
            ttl: std::time::Duration::ZERO,
            scope: 0,
            degraded: false,
            failed_open: false,
            lowers_ttl: *lowers_ttl,
            reason: PolicyReason::NoType,
        };
        if self.node(*root).kinds & kind.bit() == 0 {
            return decision;
        }
        let mut walk = Walk {
            trees: self,
            states,
            kind: kind.bit(),
            client,
            no_match_is_empty: *no_match_is_empty,
            draw,
            steps: 0,
            passed_over: false,
            opened: false,
            trace,
        };
        let pass = walk.begin(*root, &mut decision.leaves);
        decision.failed_open = walk.opened;
        decision.degraded = walk.opened || states.node(*root).is_degraded(kind.bit());
        decision.reason = match pass {
            None => PolicyReason::NoMatch,
            Some(_) if walk.opened => PolicyReason::FailOpen,
            Some(_) if walk.passed_over => PolicyReason::NextHealthy,
            Some(_) => PolicyReason::FirstChoice,
        };
        if pass.is_none() {
            // An answer without data goes to every network (`spec/dns.md`, E15c).
            decision.degraded = false;
            decision.failed_open = false;
            return decision;
        }
        decision.scope = match scopes {
            Some(nodes) => self.scope_of_all(nodes, client),
            None => self.scope(*root, kind.bit(), client),
        };
        let ttls = decision.leaves.as_slice().iter().map(|leaf| self.leaf(*leaf).ttl_of(kind));
        let ttl = ttls.min().unwrap_or_default();
        decision.ttl = if decision.degraded && *lowers_ttl { lowered(ttl) } else { ttl };
        decision
    }
}

struct Walk<'a, T> {
    trees: &'a Trees,
    states: &'a TreeStates,
    kind: u64,
    client: &'a DnsClient,
    no_match_is_empty: bool,
    draw: u64,
    steps: u32,
    /// Whether something preferred was not usable on the pass that found the answer.
    passed_over: bool,
    /// Whether health was disregarded anywhere.
    opened: bool,
    trace: &'a mut T,
}

impl<T: PolicyTrace> Walk<'_, T> {
    /// Picks from `node` as a root does: the healthy, then the not yet judged, then all. None if even then the client
    /// has no match.
    fn begin(&mut self, node: NodeIndex, picked: &mut Picked) -> Option<Pass> {
        let state = self.states.node(node);
        let opened = self.opened;
        for pass in [Pass::Healthy, Pass::Initial, Pass::Open] {
            if !state.is_usable(self.kind, pass) {
                continue;
            }
            self.trace.note(PolicyNote::Began(node, pass));
            self.passed_over = false;
            self.opened = opened || pass == Pass::Open;
            if pass == Pass::Open {
                // The answer of last resort is not refused for the effort that went before.
                self.steps = 0;
            }
            if self.node(node, pass, picked) {
                return Some(pass);
            }
        }
        None
    }

    /// Adds what `node` answers on this pass. False, and nothing added, if it has nothing for this client.
    fn node(&mut self, node: NodeIndex, pass: Pass, picked: &mut Picked) -> bool {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return false;
        }
        match self.trees.node(node).what {
            What::Leaf { leaf, .. } => {
                picked.push(leaf);
                true
            }
            What::Graft { others: Some((leaf, others)), .. } if others & self.kind != 0 => {
                picked.push(leaf);
                true
            }
            What::Graft { child, .. } => self.node(child, pass, picked),
            What::Choice(choice) => self.choice(node, self.trees.choice(choice), pass, picked),
            What::Nothing => false,
        }
    }

    fn choice(&mut self, node: NodeIndex, choice: &Choice, pass: Pass, picked: &mut Picked) -> bool {
        let at = Here { node, choice, branches: self.trees.branches_of(choice), pass };
        match &choice.rule {
            Rule::WeightedPerQuery => self.weighted(&at, picked, None),
            Rule::WeightedPerClient(seed) => self.weighted(&at, picked, Some(seed)),
            Rule::Failover => (0..at.branches.len()).any(|position| self.attempt(&at, position, picked)),
            Rule::Multivalue(seed) => self.multivalue(&at, seed, picked),
            Rule::Latency(located)
            | Rule::Geolocation(located)
            | Rule::Geoproximity(located)
            | Rule::IpBased(located) => self.located(&at, *located, picked),
        }
    }

    /// Whether the branch has the type at all: otherwise it is no member of the type's group.
    fn has_kind(&self, branch: &Branch) -> bool {
        self.trees.node(branch.node).kinds & self.kind != 0
    }

    /// Whether the branch is usable; notes it if not. Branches without the type are not spoken of.
    fn is_usable(&mut self, at: &Here<'_>, position: usize) -> bool {
        let state = self.states.branch(at.choice.branches.start + position as u32);
        let usable = state.is_usable(self.kind, at.pass);
        if !usable && self.has_kind(&at.branches[position]) {
            self.passed_over = true;
            self.trace.note(PolicyNote::Unusable(at.node, position as u8));
        }
        usable
    }

    /// Takes the branch if it is usable and has something for this client.
    fn attempt(&mut self, at: &Here<'_>, position: usize, picked: &mut Picked) -> bool {
        self.is_usable(at, position) && self.take(at, position, picked)
    }

    fn take(&mut self, at: &Here<'_>, position: usize, picked: &mut Picked) -> bool {
        self.trace.note(PolicyNote::Picked(at.node, position as u8));
        let branch = &at.branches[position];
        let before = picked.as_slice().len();
        let taken = if branch.evaluate || at.pass == Pass::Open {
            self.node(branch.node, at.pass, picked)
        } else {
            // Healthy by decree: what stands there is on its own and fails open by itself.
            let (opened, passed_over) = (self.opened, self.passed_over);
            let taken = self.begin(branch.node, picked).is_some();
            self.passed_over |= passed_over;
            if !taken {
                self.opened = opened;
            }
            taken
        };
        if !taken {
            picked.truncate(before);
            self.trace.note(PolicyNote::Disappointed(at.node, position as u8));
        }
        taken
    }

    /// In proportion to the weights; zeros only when nothing else is usable, then with equal odds.
    fn weighted(&mut self, at: &Here<'_>, picked: &mut Picked, seed: Option<&Seed>) -> bool {
        let mut open: u128 = 0;
        for position in 0..at.branches.len() {
            if self.is_usable(at, position) {
                open |= 1 << position;
            }
        }
        let mut round = 0;
        while open != 0 {
            let is_open = |position: &usize| open & (1 << position) != 0;
            let usable = || (0..at.branches.len()).filter(is_open);
            let total: u64 = usable().map(|position| u64::from(at.branches[position].weight)).sum();
            let weight = |position: usize| if total == 0 { 1 } else { u64::from(at.branches[position].weight) };
            let position = match seed {
                Some(seed) => self.drawn_for_client(at, seed, usable().filter(|p| weight(*p) > 0), weight),
                None => {
                    let draw = split(split(self.draw, at.node.0.into()), round);
                    let mut left = below(draw, usable().map(weight).sum());
                    usable().find(|position| match left.checked_sub(weight(*position)) {
                        Some(rest) => {
                            left = rest;
                            false
                        }
                        None => true,
                    })
                }
            };
            let Some(position) = position else { return false };
            if self.take(at, position, picked) {
                return true;
            }
            open &= !(1 << position);
            round += 1;
        }
        false
    }

    /// The branch that rendezvous hashing gives the client's network: of its own clients only is a lost branch's share
    /// drawn anew.
    fn drawn_for_client(
        &self,
        at: &Here<'_>,
        seed: &Seed,
        positions: impl Iterator<Item = usize>,
        weight: impl Fn(usize) -> u64,
    ) -> Option<usize> {
        let (address, len) = self.client.network.unwrap_or((self.client.resolver, u8::MAX));
        let key = FlowKey::address(cut(address, len.min(prefix_bound(address))));
        let score =
            |position: &usize| score(seed, &key, [at.branches[*position].id.as_bytes(), &[]], weight(*position) as f64);
        positions
            .map(|position| (position, score(&position)))
            .reduce(|a, b| if b.1 > a.1 { b } else { a })
            .map(|(p, _)| p)
    }

    /// Up to eight usable branches; of more, those that rendezvous hashing gives the resolver's network.
    fn multivalue(&mut self, at: &Here<'_>, seed: &Seed, picked: &mut Picked) -> bool {
        let before = picked.as_slice().len();
        let usable = (0..at.branches.len()).filter(|position| self.is_usable(at, *position)).count();
        if usable <= PICKED_MAX {
            for position in 0..at.branches.len() {
                if self.states.branch(at.choice.branches.start + position as u32).is_usable(self.kind, at.pass) {
                    self.take(at, position, picked);
                }
            }
            return picked.as_slice().len() > before;
        }
        let resolver = self.client.resolver;
        let key = FlowKey::address(cut(resolver, prefix_bound(resolver)));
        let mut best = [(0.0, 0_usize); PICKED_MAX];
        let mut count = 0;
        for position in 0..at.branches.len() {
            if !self.states.branch(at.choice.branches.start + position as u32).is_usable(self.kind, at.pass) {
                continue;
            }
            let score = seed.unit(key.as_bytes(), at.branches[position].id.as_bytes());
            let rank = best[..count].iter().position(|(other, _)| score > *other).unwrap_or(count);
            if rank < PICKED_MAX {
                count = (count + 1).min(PICKED_MAX);
                best[rank..count].rotate_right(1);
                best[rank] = (score, position);
            }
        }
        for (_, position) in &best[..count] {
            if picked.is_full() {
                break;
            }
            self.take(at, *position, picked);
        }
        picked.as_slice().len() > before
    }

    /// The first usable branch of the client's preference.
    fn located(&mut self, at: &Here<'_>, located: u32, picked: &mut Picked) -> bool {
        let preference = self.trees.located[located as usize].preference(self.client);
        let mut matches = false;
        for (position, len) in preference.matched {
            let position = usize::from(*position);
            if !self.has_kind(&at.branches[position]) {
                continue;
            }
            if *len > preference.source_len {
                self.trace.note(PolicyNote::LongerThanSource(at.node, position as u8));
                continue;
            }
            matches = true;
            if self.attempt(at, position, picked) {
                return true;
            }
        }
        if matches {
            return false;
        }
        self.trace.note(PolicyNote::NoMatch(at.node));
        let rest = if self.no_match_is_empty { &[] } else { preference.rest };
        rest.iter().any(|(position, _)| self.attempt(at, usize::from(*position), picked))
    }
}

/// A choice on the way, and the pass it is on.
struct Here<'a> {
    node: NodeIndex,
    choice: &'a Choice,
    branches: &'a [Branch],
    pass: Pass,
}
