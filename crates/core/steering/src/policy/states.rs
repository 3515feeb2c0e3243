use perigee_health::{HealthState, View};

use super::node::{Branch, Node, What};
use super::{NodeIndex, Pass, Trees};

/// Which types are in which state, as masks: a type may be in several, for there are several leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) healthy: u64,
    pub(super) initial: u64,
    pub(super) unhealthy: u64,
}

impl State {
    /// Whether the type is usable on a pass.
    pub(super) fn is_usable(&self, kind: u64, pass: Pass) -> bool {
        let usable = match pass {
            Pass::Healthy => self.healthy,
            Pass::Initial => self.healthy | self.initial,
            Pass::Open => self.healthy | self.initial | self.unhealthy,
        };
        usable & kind != 0
    }

    /// Whether something of the type is not as well as the best of it.
    pub(super) fn is_degraded(&self, kind: u64) -> bool {
        self.unhealthy & kind != 0 || (self.healthy & self.initial & kind != 0)
    }
}

/// The health of every node of [`Trees`] at one moment: one pass from the leaves up.
///
/// A node is healthy for a type if any branch is that has the type, a branch if its check passes and what stands there
/// is healthy or not evaluated (`spec/dns.md` section 2.4). Load balancers not judged yet count when nothing is known to
/// be healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeStates {
    nodes: Vec<State>,
    branches: Vec<State>,
}

impl TreeStates {
    /// The states under `health`, of the snapshot that `trees` were built for. Linear in the nodes; nothing at all
    /// without trees.
    pub fn new(trees: &Trees, health: &View) -> Self {
        let mut nodes: Vec<State> = Vec::with_capacity(trees.nodes.len());
        let mut branches = vec![State::default(); trees.branches.len()];
        for node in &trees.nodes {
            let state = match node.what {
                What::Leaf { health: None, .. } => State { healthy: node.kinds, ..State::default() },
                What::Leaf { health: Some(lb), .. } => {
                    of_load_balancer(node, health.load_balancers.get(lb.0).map(|lb| lb.effective()))
                }
                What::Graft { child, others } => {
                    let beside = others.map_or(0, |(_, mask)| mask);
                    let below = nodes[child.0 as usize];
                    State {
                        healthy: below.healthy | beside,
                        initial: below.initial & !beside,
                        unhealthy: below.unhealthy & !beside,
                    }
                }
                What::Choice(choice) => {
                    let mut sum = State::default();
                    for at in trees.choice(choice).branches.clone() {
                        let at = at as usize;
                        let state = of_branch(trees, &trees.branches[at], &nodes, health);
                        branches[at] = state;
                        sum.healthy |= state.healthy;
                        sum.initial |= state.initial;
                        sum.unhealthy |= state.unhealthy;
                    }
                    sum
                }
                What::Nothing => State::default(),
            };
            nodes.push(state);
        }
        Self { nodes, branches }
    }

    pub(super) fn node(&self, index: NodeIndex) -> &State {
        &self.nodes[index.0 as usize]
    }

    pub(super) fn branch(&self, at: u32) -> &State {
        &self.branches[at as usize]
    }
}

fn of_load_balancer(node: &Node, state: Option<HealthState>) -> State {
    let kinds = node.kinds;
    match state.unwrap_or(HealthState::Initial) {
        HealthState::Healthy => State { healthy: kinds, ..State::default() },
        HealthState::Initial => State { initial: kinds, ..State::default() },
        HealthState::Unhealthy => State { unhealthy: kinds, ..State::default() },
    }
}

fn of_branch(trees: &Trees, branch: &Branch, nodes: &[State], health: &View) -> State {
    let kinds = trees.node(branch.node).kinds;
    if branch.check.is_some_and(|check| !health.check_is_healthy(check)) {
        State { unhealthy: kinds, ..State::default() }
    } else if branch.evaluate {
        nodes[branch.node.0 as usize]
    } else {
        State { healthy: kinds, ..State::default() }
    }
}
