use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use perigee_geo::{Atlas, Direction};
use perigee_model::dns::{BranchKey, GeoLocation, Policy, PolicyBranch, PolicyNode, RecordTarget};
use perigee_model::{RegionIndex, Snapshot};
use serde::{Deserialize, Serialize};

use super::located::{Listed, biased_km};
use super::node::{Branch, Choice, Rule};
use super::{
    DnsClient, Leaf, LeafIndex, NodeIndex, Pass, PolicyDecision, PolicyNote, RecordKind, TreeIndex, TreeStates, Trees,
};

/// Why a tree answers a client as it does, for people: the same facts the decision used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyExplanation {
    /// The name, whole.
    pub name: String,
    /// The record type's mnemonic.
    pub record_type: String,
    /// The client subnet, such as `192.0.2.0/24`; none when the resolver alone is known.
    pub client_subnet: Option<String>,
    /// The resolver.
    pub resolver: IpAddr,
    /// Where the client is, in words: the subnet's place, the resolver's without one.
    pub place: String,
    /// The choices on the way, from the root down.
    pub path: Vec<PolicyStep>,
    /// The answers in words: addresses, load balancers, names.
    pub answers: Vec<String>,
    /// Seconds the answer may be kept.
    pub ttl_s: u64,
    /// The ECS scope.
    pub scope: u8,
    /// Whether something of the name is down.
    pub degraded: bool,
    /// Why this answer, in words.
    pub reason: String,
}

/// One choice on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyStep {
    /// The policy.
    pub policy: String,
    /// Whose health counted: `healthy`, `not judged yet`, or `all: fail open`.
    pub counted: String,
    /// The branches that have the type, in order of preference where there is one.
    pub branches: Vec<PolicyBranchExplanation>,
}

/// A branch of a choice on the way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyBranchExplanation {
    /// Its set identifier.
    pub set_identifier: String,
    /// What the policy picks it by, with the distance or round trip from this client.
    pub key: String,
    /// `healthy`, `not judged yet` or `unhealthy`.
    pub health: String,
    /// Whether it was taken.
    pub picked: bool,
    /// Why it was taken or not.
    pub note: String,
}

/// Who and what is asked, and what decides.
pub(crate) struct PolicyQuestion<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) atlas: &'a Atlas,
    pub(crate) states: &'a TreeStates,
    pub(crate) tree: TreeIndex,
    pub(crate) kind: RecordKind,
    pub(crate) client: &'a DnsClient,
}

impl Trees {
    /// Explains [`Trees::decide`] with the same arguments; `snapshot` and `atlas` are those of the build.
    #[expect(clippy::too_many_arguments, reason = "those of the decision, and what it was built from")]
    pub fn explain(
        &self,
        snapshot: &Snapshot,
        atlas: &Atlas,
        states: &TreeStates,
        tree: TreeIndex,
        kind: RecordKind,
        client: &DnsClient,
        draw: u64,
    ) -> PolicyExplanation {
        let mut notes: Vec<PolicyNote> = Vec::new();
        let decision = self.decide(states, tree, kind, client, draw, &mut notes);
        let question = PolicyQuestion { snapshot, atlas, states, tree, kind, client };
        let asked = client.network.map_or(client.resolver, |(address, _)| address);
        PolicyExplanation {
            name: self.name_of(snapshot, tree),
            record_type: self.mnemonic(kind).to_owned(),
            client_subnet: client.network.map(|(address, len)| format!("{address}/{len}")),
            resolver: client.resolver,
            place: atlas.locate(asked).place.to_string(),
            path: self.path(&question, &notes),
            answers: decision.leaves.as_slice().iter().map(|leaf| self.answer_text(&question, *leaf)).collect(),
            ttl_s: decision.ttl.as_secs(),
            scope: decision.scope,
            degraded: decision.degraded,
            reason: reason(&decision),
        }
    }

    fn name_of(&self, snapshot: &Snapshot, tree: TreeIndex) -> String {
        let at = tree.0 as usize;
        match snapshot.dns.policy_names.get(at) {
            Some(name) => name.name.clone(),
            None => {
                let label = snapshot.dns.latency_names.get(at - self.policy_names).map(|name| name.label.as_str());
                format!("{}.{}", label.unwrap_or_default(), snapshot.dns.origin)
            }
        }
    }

    fn answer_text(&self, question: &PolicyQuestion<'_>, leaf: LeafIndex) -> String {
        let leaf: &Leaf = self.leaf(leaf);
        if !question.kind.is_address() {
            let mnemonic = self.mnemonic(question.kind);
            let values = leaf.others.iter().find(|values| values.record_type == mnemonic);
            if let Some(values) = values {
                return values.values.join(", ");
            }
        }
        match &leaf.target {
            RecordTarget::Addresses(addresses) => {
                let of_kind = addresses.iter().filter(|a| a.is_ipv4() == (question.kind == RecordKind::A));
                of_kind.map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
            }
            RecordTarget::LoadBalancer(lb) => {
                let lb = question.snapshot.load_balancer(*lb);
                format!("load balancer {} in {}", lb.name, question.snapshot.region(lb.region).code)
            }
            RecordTarget::Accelerator(at) => format!("accelerator {}", question.snapshot.accelerator(*at).name),
            RecordTarget::Name(name) => format!("the records of {name}"),
            RecordTarget::PolicyName(at) => question.snapshot.dns.policy_name(*at).name.clone(),
        }
    }

    /// The choices of the pass that found the answer, in the order they were come to.
    fn path(&self, question: &PolicyQuestion<'_>, notes: &[PolicyNote]) -> Vec<PolicyStep> {
        let root = self.tree(question.tree).root;
        let is_root = |note: &PolicyNote| matches!(note, PolicyNote::Began(node, _) if *node == root);
        let notes = &notes[notes.iter().rposition(is_root).unwrap_or(0)..];
        let mut pass = Pass::Healthy;
        let mut seen: BTreeSet<NodeIndex> = BTreeSet::new();
        let mut steps = Vec::new();
        for note in notes {
            let node = match note {
                PolicyNote::Began(_, began) => {
                    pass = *began;
                    continue;
                }
                PolicyNote::Unusable(node, _)
                | PolicyNote::LongerThanSource(node, _)
                | PolicyNote::NoMatch(node)
                | PolicyNote::Picked(node, _)
                | PolicyNote::Disappointed(node, _) => *node,
            };
            if let super::node::What::Choice(choice) = self.node(node).what
                && seen.insert(node)
            {
                steps.push(self.step(question, notes, node, self.choice(choice), pass));
            }
        }
        steps
    }

    fn step(
        &self,
        question: &PolicyQuestion<'_>,
        notes: &[PolicyNote],
        node: NodeIndex,
        choice: &Choice,
        pass: Pass,
    ) -> PolicyStep {
        let branches = self.branches_of(choice);
        let located = choice.rule.located().map(|at| &self.located[at as usize]);
        let address = located.map_or(question.client.resolver, |located| located.decisive(question.client));
        let preference = located.map(|located| located.preference(question.client));
        let matched: &[Listed] = preference.map_or(&[], |preference| preference.matched);
        let rest: &[Listed] = preference.map_or(&[], |preference| preference.rest);
        let listed = matched.iter().chain(rest).map(|(position, _)| usize::from(*position));
        let mut order: Vec<usize> = Vec::with_capacity(branches.len());
        for position in listed.chain(0..branches.len()) {
            if !order.contains(&position) && self.node(branches[position].node).kinds & question.kind.bit() != 0 {
                order.push(position);
            }
        }
        let total: u64 = branches.iter().map(|branch| u64::from(branch.weight)).sum();
        let explain = |position: usize| {
            let branch = &branches[position];
            let of_branch = |note: &PolicyNote| match note {
                PolicyNote::Unusable(at, p)
                | PolicyNote::LongerThanSource(at, p)
                | PolicyNote::Picked(at, p)
                | PolicyNote::Disappointed(at, p) => *at == node && usize::from(*p) == position,
                PolicyNote::Began(..) | PolicyNote::NoMatch(_) => false,
            };
            let last = notes.iter().rev().find(|note| of_branch(note));
            let is_matched = matched.iter().any(|(p, _)| usize::from(*p) == position);
            let state = question.states.branch(choice.branches.start + position as u32);
            let health = if state.is_usable(question.kind.bit(), Pass::Healthy) {
                "healthy"
            } else if state.is_usable(question.kind.bit(), Pass::Initial) {
                "not judged yet"
            } else {
                "unhealthy"
            };
            PolicyBranchExplanation {
                set_identifier: branch.id.to_string(),
                key: key_text(question, choice, branch, address, total),
                health: health.to_owned(),
                picked: matches!(last, Some(PolicyNote::Picked(..))),
                note: match last {
                    Some(PolicyNote::Picked(..)) => "picked".to_owned(),
                    Some(PolicyNote::Unusable(..)) => format!("passed over: {health}"),
                    Some(PolicyNote::LongerThanSource(..)) => "passed over: longer than the client subnet".to_owned(),
                    Some(PolicyNote::Disappointed(..)) => "passed over: nothing there for this client".to_owned(),
                    Some(PolicyNote::Began(..) | PolicyNote::NoMatch(_)) | None => {
                        not_needed(&choice.rule, branch, is_matched).to_owned()
                    }
                },
            }
        };
        PolicyStep {
            policy: choice.rule.name().to_owned(),
            counted: match pass {
                Pass::Healthy => "healthy",
                Pass::Initial => "not judged yet",
                Pass::Open => "all: fail open",
            }
            .to_owned(),
            branches: order.into_iter().map(explain).collect(),
        }
    }
}

fn reason(decision: &PolicyDecision) -> String {
    if decision.degraded && decision.lowers_ttl {
        format!("{}; the TTL is lowered while something is down", decision.reason)
    } else {
        decision.reason.to_string()
    }
}

/// Why a branch that was not looked at was not needed.
fn not_needed(rule: &Rule, branch: &Branch, is_matched: bool) -> &'static str {
    match rule {
        Rule::WeightedPerQuery | Rule::WeightedPerClient(_) if branch.weight == 0 => {
            "not drawn: weight 0 is for when all others are unhealthy"
        }
        Rule::WeightedPerQuery | Rule::WeightedPerClient(_) => "lost the draw",
        Rule::Failover => "not needed",
        Rule::Multivalue(_) => "left out: eight are enough",
        Rule::Latency(_) => "longer round trip",
        Rule::Geoproximity(_) => "farther",
        Rule::Geolocation(_) if is_matched => "larger area",
        Rule::IpBased(_) if is_matched => "shorter network",
        Rule::Geolocation(_) | Rule::IpBased(_) => "not for this client",
    }
}

/// What the policy picks the branch by.
fn key_text(question: &PolicyQuestion<'_>, choice: &Choice, branch: &Branch, client: IpAddr, total: u64) -> String {
    let place = question.atlas.locate(client).place_index;
    let Some((policy, configured)) = configured(question.snapshot, choice, branch) else {
        return region_text(question, RegionIndex(branch.origin.into()), client);
    };
    match &configured.key {
        BranchKey::Weight(weight) => format!("weight {weight} of {total}"),
        BranchKey::Region(region) => region_text(question, *region, client),
        BranchKey::Primary => "primary".to_owned(),
        BranchKey::Secondary => "secondary".to_owned(),
        BranchKey::Location(GeoLocation::Default) => "everywhere".to_owned(),
        BranchKey::Location(GeoLocation::Continent(code)) => format!("continent {code}"),
        BranchKey::Location(GeoLocation::Country(code)) => format!("country {code}"),
        BranchKey::Location(GeoLocation::Subdivision(code)) => format!("state US-{code}"),
        BranchKey::Proximity { location, bias } => {
            let from = question.atlas.location_of(place).map(Direction::of);
            let legacy = matches!(policy, Policy::Geoproximity { legacy_bias: true });
            match from.map(|from| from.km(Direction::of(*location))) {
                Some(km) => {
                    format!("{km:.0} km, with bias {bias} as if {:.0} km", biased_km(km, *bias, legacy))
                }
                None => format!("bias {bias}, distance unknown"),
            }
        }
        BranchKey::Value => "one of the values".to_owned(),
        BranchKey::Cidrs(nets) => {
            let around = nets.iter().filter(|net| net.contains(&client)).max_by_key(|net| net.prefix_len());
            around.map_or_else(|| format!("{} networks", nets.len()), ToString::to_string)
        }
        BranchKey::AnyNetwork => "any other network".to_owned(),
    }
}

/// The branch as it was configured, and its group's policy; none for a latency name.
fn configured<'a>(snapshot: &'a Snapshot, choice: &Choice, branch: &Branch) -> Option<(Policy, &'a PolicyBranch)> {
    match snapshot.dns.policy_node(choice.source?) {
        PolicyNode::Group(group) => Some((group.policy, group.branches.get(usize::from(branch.origin))?)),
        PolicyNode::Record(_) => None,
    }
}

fn region_text(question: &PolicyQuestion<'_>, region: RegionIndex, client: IpAddr) -> String {
    let code = &question.snapshot.region(region).code;
    let leg = question.atlas.order_of_network(client).iter().find(|leg| leg.region == region);
    match leg.filter(|leg| leg.rtt_ms.is_finite()) {
        Some(leg) => format!("region {code}, {:.1} ms", leg.rtt_ms),
        None => format!("region {code}, round trip unknown"),
    }
}

/// Several lines without a line break at the end.
impl fmt::Display for PolicyExplanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, record_type, place, ttl_s, scope, reason, .. } = self;
        let client = self.client_subnet.clone().unwrap_or_else(|| format!("resolver {}", self.resolver));
        let answers = if self.answers.is_empty() { "no data".to_owned() } else { self.answers.join("; ") };
        write!(f, "DNS      {name} {record_type} for {client} in {place}")?;
        write!(f, "\n           -> {answers} for {ttl_s} s, scope /{scope}: {reason}")?;
        for step in &self.path {
            write!(f, "\n           {}, counting {}:", step.policy, step.counted)?;
            for branch in &step.branches {
                let mark = if branch.picked { "->" } else { "  " };
                let PolicyBranchExplanation { set_identifier, key, health, note, .. } = branch;
                write!(f, "\n           {mark} {set_identifier:<16} {key}, {health}: {note}")?;
            }
        }
        Ok(())
    }
}
