use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use perigee_balance::Seed;
use perigee_geo::Atlas;
use perigee_model::dns::{
    BranchKey, GeoLocation, HostedZone, Policy, PolicyBranch, PolicyGroup, PolicyNode, PolicyRecord, RecordTarget,
    WeightedDraw,
};
use perigee_model::{LatencyName, LoadBalancerNode, PolicyNodeIndex, RegionIndex, Snapshot};

use super::located::{Located, LocatedKey};
use super::node::{Branch, Choice, Node, Rule, Tree, What};
use super::{Kinds, Leaf, LeafIndex, NodeIndex, RecordKind, Trees, scope};

/// Branches of a choice that are kept; the model allows 100.
const BRANCHES_MAX: usize = 128;

pub(super) fn build(snapshot: &Snapshot, atlas: &Atlas) -> Trees {
    let dns = &snapshot.dns;
    let mut owners: Vec<(PolicyNodeIndex, &str)> = dns.policy_names.iter().map(|n| (n.root, n.name.as_str())).collect();
    owners.sort_unstable();
    let mut builder = Builder {
        snapshot,
        atlas,
        owners,
        compiled: vec![None; dns.policy_nodes.len()],
        keys: BTreeMap::new(),
        trees: Trees {
            kinds: Kinds::of(snapshot),
            trees: Vec::new(),
            policy_names: dns.policy_names.len(),
            nodes: Vec::new(),
            choices: Vec::new(),
            branches: Vec::new(),
            leaves: Vec::new(),
            located: Vec::new(),
        },
    };
    for name in &dns.policy_names {
        let root = builder.compile(name.root);
        builder.tree(root, dns.zone(name.zone));
    }
    for name in &dns.latency_names {
        let root = builder.latency_name(name);
        builder.tree(root, &dns.zones[0]);
    }
    builder.trees
}

struct Builder<'a> {
    snapshot: &'a Snapshot,
    atlas: &'a Atlas,
    /// Roots with their names, ascending.
    owners: Vec<(PolicyNodeIndex, &'a str)>,
    /// Where the snapshot's nodes went.
    compiled: Vec<Option<NodeIndex>>,
    keys: BTreeMap<LocatedKey, u32>,
    trees: Trees,
}

impl Builder<'_> {
    fn tree(&mut self, root: NodeIndex, zone: &HostedZone) {
        let scopes = scope::too_many(&self.trees, root);
        self.trees.trees.push(Tree {
            root,
            no_match_is_empty: zone.route53_parity && zone.signing.is_none(),
            lowers_ttl: !zone.route53_parity,
            scopes,
        });
    }

    /// Compiles what is at and below a node of the snapshot, what is below first. Not by recursion: names may alias one
    /// another in a long chain.
    fn compile(&mut self, root: PolicyNodeIndex) -> NodeIndex {
        // The flag tells whether the children have been visited.
        let mut open = vec![(root, false)];
        let mut entered = std::collections::BTreeSet::new();
        while let Some((index, is_left)) = open.pop() {
            if is_left {
                let node = self.node(index);
                self.compiled[index.0] = Some(node);
            } else if self.compiled[index.0].is_none() && entered.insert(index) {
                open.push((index, true));
                match self.snapshot.dns.policy_node(index) {
                    PolicyNode::Group(group) => open.extend(group.branches.iter().map(|b| (b.node, false))),
                    PolicyNode::Record(record) => {
                        if let RecordTarget::PolicyName(target) = record.target {
                            open.push((self.snapshot.dns.policy_name(target).root, false));
                        }
                    }
                }
            }
        }
        self.compiled_at(root)
    }

    /// The compiled node; what leads nowhere if it is its own descendant.
    fn compiled_at(&mut self, index: PolicyNodeIndex) -> NodeIndex {
        match self.compiled[index.0] {
            Some(node) => node,
            None => self.push(Node::NOTHING),
        }
    }

    fn push(&mut self, node: Node) -> NodeIndex {
        let node = if node.depth > Trees::DEPTH_MAX { Node::NOTHING } else { node };
        self.trees.nodes.push(node);
        NodeIndex((self.trees.nodes.len() - 1) as u32)
    }

    fn node(&mut self, index: PolicyNodeIndex) -> NodeIndex {
        match self.snapshot.dns.policy_node(index) {
            PolicyNode::Group(group) => self.group(index, group),
            PolicyNode::Record(record) => self.record(index, record),
        }
    }

    fn record(&mut self, index: PolicyNodeIndex, record: &PolicyRecord) -> NodeIndex {
        let others = record.others.iter().filter_map(|values| self.trees.kinds.find(&values.record_type));
        let others = others.filter(|kind| *kind != RecordKind::OTHER).fold(0, |mask, kind| mask | kind.bit());
        let dns = &self.snapshot.dns;
        let leaf = |target: RecordTarget, address_ttl: Duration, region: Option<RegionIndex>| Leaf {
            target,
            others: record.others.clone(),
            ttl: record.ttl,
            address_ttl,
            region,
            record: Some(index),
        };
        match &record.target {
            RecordTarget::PolicyName(target) => {
                let child = self.compiled_at(dns.policy_name(*target).root);
                let beside = leaf(RecordTarget::Addresses(Vec::new()), record.ttl, None);
                let others = (others != 0).then(|| (self.leaf(beside), others));
                let below = &self.trees.nodes[child.0 as usize];
                let beside = others.map_or(0, |(_, mask)| mask);
                self.push(Node {
                    what: What::Graft { child, others },
                    kinds: below.kinds | beside,
                    exact: below.exact | beside,
                    scoped: below.scoped,
                    depth: below.depth.saturating_add(1),
                })
            }
            RecordTarget::Addresses(addresses) => {
                let kinds = others | kinds_of(addresses.iter().copied());
                self.answer(leaf(record.target.clone(), record.ttl, None), kinds, None)
            }
            RecordTarget::LoadBalancer(lb) => {
                let balancer = self.snapshot.load_balancer(*lb);
                let kinds = others | kinds_of(balancer.nodes.iter().flat_map(LoadBalancerNode::addresses));
                let leaf = leaf(record.target.clone(), dns.load_balancer_ttl, Some(balancer.region));
                self.answer(leaf, kinds, Some(*lb))
            }
            RecordTarget::Accelerator(accelerator) => {
                let kinds = others | kinds_of(self.snapshot.accelerator(*accelerator).addresses.iter().copied());
                self.answer(leaf(record.target.clone(), dns.accelerator_ttl, None), kinds, None)
            }
            RecordTarget::Name(_) => {
                let leaf = self.leaf(leaf(record.target.clone(), record.ttl, None));
                self.push(Node {
                    what: What::Leaf { leaf, health: None },
                    kinds: u64::MAX,
                    exact: others,
                    scoped: 0,
                    depth: 1,
                })
            }
        }
    }

    fn leaf(&mut self, leaf: Leaf) -> LeafIndex {
        self.trees.leaves.push(leaf);
        LeafIndex((self.trees.leaves.len() - 1) as u32)
    }

    fn answer(&mut self, leaf: Leaf, kinds: u64, health: Option<perigee_model::LoadBalancerIndex>) -> NodeIndex {
        let leaf = self.leaf(leaf);
        self.push(Node { what: What::Leaf { leaf, health }, kinds, exact: kinds, scoped: 0, depth: 1 })
    }

    /// What seeds a choice that hashes: the same on every server, and as long as the name's own tree is not rearranged.
    fn seed(&self, index: PolicyNodeIndex) -> Seed {
        let behind = self.owners.partition_point(|(root, _)| *root <= index);
        let (root, name) = behind.checked_sub(1).map_or((PolicyNodeIndex(0), ""), |at| self.owners[at]);
        Seed::derive(&format!("{name}/{}", index.0 - root.0))
    }

    fn group(&mut self, index: PolicyNodeIndex, group: &PolicyGroup) -> NodeIndex {
        let mut order: Vec<(u16, &PolicyBranch)> = (0..).zip(&group.branches).take(BRANCHES_MAX).collect();
        sort(&mut order, group.policy);
        let branches: Vec<Branch> = order
            .iter()
            .map(|(origin, branch)| Branch {
                node: self.compiled_at(branch.node),
                id: branch.set_identifier.as_str().into(),
                weight: if let BranchKey::Weight(weight) = branch.key { weight } else { 0 },
                check: branch.health_check,
                evaluate: branch.evaluate_target_health,
                origin: *origin,
            })
            .collect();
        let kinds: Vec<u64> = branches.iter().map(|b| self.trees.nodes[b.node.0 as usize].kinds).collect();
        let keys = || order.iter().map(|(_, branch)| &branch.key);
        let rule = match group.policy {
            Policy::Weighted { draw: WeightedDraw::PerQuery } => Rule::WeightedPerQuery,
            Policy::Weighted { draw: WeightedDraw::PerClient } => Rule::WeightedPerClient(self.seed(index)),
            Policy::Failover => Rule::Failover,
            Policy::Multivalue => Rule::Multivalue(self.seed(index)),
            Policy::Latency => {
                let region = |key: &BranchKey| if let BranchKey::Region(region) = key { region.0 } else { usize::MAX };
                Rule::Latency(self.located(LocatedKey::Latency(keys().map(region).collect())))
            }
            Policy::Geolocation => {
                let area = |key: &BranchKey| match key {
                    BranchKey::Location(area) => area.clone(),
                    _ => GeoLocation::Default,
                };
                let areas = keys().map(area).zip(kinds).collect();
                Rule::Geolocation(self.located(LocatedKey::Geolocation(areas)))
            }
            Policy::Geoproximity { legacy_bias } => {
                let branches = keys().map(proximity).collect();
                Rule::Geoproximity(self.located(LocatedKey::Geoproximity { legacy_bias, branches }))
            }
            Policy::IpBased => {
                let networks =
                    |key: &BranchKey| if let BranchKey::Cidrs(nets) = key { Some(nets.clone()) } else { None };
                Rule::IpBased(self.located(LocatedKey::IpBased(keys().map(networks).collect())))
            }
        };
        self.choose(rule, branches, Some(index))
    }

    fn choose(&mut self, rule: Rule, branches: Vec<Branch>, source: Option<PolicyNodeIndex>) -> NodeIndex {
        let mut node = Node { scoped: u32::from(rule.makes_scope()), ..Node::NOTHING };
        for branch in &branches {
            let below = &self.trees.nodes[branch.node.0 as usize];
            node.kinds |= below.kinds;
            node.exact |= below.exact;
            node.scoped = node.scoped.saturating_add(below.scoped);
            node.depth = node.depth.max(below.depth.saturating_add(1));
        }
        let start = self.trees.branches.len() as u32;
        self.trees.branches.extend(branches);
        node.what = What::Choice(self.trees.choices.len() as u32);
        self.trees.choices.push(Choice { rule, branches: start..self.trees.branches.len() as u32, source });
        self.push(node)
    }

    fn located(&mut self, key: LocatedKey) -> u32 {
        if let Some(known) = self.keys.get(&key) {
            return *known;
        }
        let at = self.trees.located.len() as u32;
        self.trees.located.push(Located::build(&key, self.atlas));
        self.keys.insert(key, at);
        at
    }

    /// The short form of a latency policy over every region's load balancer of one name.
    fn latency_name(&mut self, name: &LatencyName) -> NodeIndex {
        let mut branches = Vec::new();
        let mut regions = Vec::new();
        for (position, region) in self.snapshot.regions.iter().enumerate().take(BRANCHES_MAX) {
            let Some(lb) = self.snapshot.find_load_balancer(RegionIndex(position), &name.load_balancer) else {
                continue;
            };
            let leaf = Leaf {
                target: RecordTarget::LoadBalancer(lb),
                others: Vec::new(),
                ttl: name.ttl,
                address_ttl: name.ttl,
                region: Some(RegionIndex(position)),
                record: None,
            };
            let kinds = kinds_of(self.snapshot.load_balancer(lb).nodes.iter().flat_map(LoadBalancerNode::addresses));
            let node = self.answer(leaf, kinds, Some(lb));
            let id = region.code.as_str().into();
            branches.push(Branch { node, id, weight: 0, check: None, evaluate: true, origin: position as u16 });
            regions.push(position);
        }
        let located = self.located(LocatedKey::Latency(regions));
        self.choose(Rule::Latency(located), branches, None)
    }
}

/// Brings branches into the order that the policy's positions mean: that of the keys, so that nodes with equal keys
/// share their tables.
fn sort(branches: &mut [(u16, &PolicyBranch)], policy: Policy) {
    match policy {
        // Their order decides ties only, and draws should not shift when a configuration is written otherwise.
        Policy::Weighted { .. } | Policy::Multivalue | Policy::IpBased => {
            branches.sort_by(|(_, a), (_, b)| a.set_identifier.cmp(&b.set_identifier));
        }
        Policy::Failover => branches.sort_by_key(|(_, branch)| branch.key != BranchKey::Primary),
        Policy::Latency => branches.sort_by_key(|(_, branch)| match branch.key {
            BranchKey::Region(region) => region.0,
            _ => usize::MAX,
        }),
        Policy::Geolocation => branches.sort_by_key(|(_, branch)| match &branch.key {
            BranchKey::Location(area) => Some(area.clone()),
            _ => None,
        }),
        Policy::Geoproximity { .. } => branches.sort_by(|(_, a), (_, b)| {
            let key = |branch: &PolicyBranch| proximity(&branch.key);
            key(a).cmp(&key(b)).then_with(|| a.set_identifier.cmp(&b.set_identifier))
        }),
    }
}

fn proximity(key: &BranchKey) -> ([u64; 2], i8) {
    match key {
        BranchKey::Proximity { location, bias } => ([location.latitude.to_bits(), location.longitude.to_bits()], *bias),
        _ => ([0; 2], 0),
    }
}

fn kinds_of(addresses: impl Iterator<Item = IpAddr>) -> u64 {
    let kind = |address: IpAddr| if address.is_ipv4() { RecordKind::A } else { RecordKind::AAAA };
    addresses.fold(0, |mask, address| mask | kind(address).bit())
}
