use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use figment::value::Value;
use perigee_model::dns::{
    BranchKey, Policy, PolicyBranch, PolicyGroup, PolicyName, PolicyNode, PolicyRecord, RecordTarget, RecordValues,
};
use perigee_model::{
    LatencyName, LoadBalancerName, PolicyNameIndex, PolicyNodeIndex, Region, RegionIndex, ZoneIndex,
};

use super::aliases::{self, Tree};
use super::branches::{At, Kind, Made, POLICIES};
use super::health_checks::Checks;
use super::zones::{Declared, is_made};
use crate::key_path::quoted;
use crate::names::{Names, check_dns_name};
use crate::reader::Node;

/// A name that an alias may lead to.
#[derive(Clone, Copy)]
pub(super) enum Known<'a> {
    Policy(PolicyNameIndex),
    /// The short form, with its load balancer.
    Latency(&'a str),
}

/// Everything that is decided by policies.
pub(super) struct Trees<'a, 'b> {
    pub(super) latency_names: Vec<LatencyName>,
    pub(super) policy_names: Vec<PolicyName>,
    pub(super) policy_nodes: Vec<PolicyNode>,
    pub(super) names: &'b Names<'b>,
    /// Those that could be read: only as many as there are names for if none has a problem.
    pub(super) regions: &'b [Region],
    pub(super) checks: &'b Checks<'b>,
    /// Whole names.
    pub(super) known: BTreeMap<String, Known<'a>>,
    zones: &'b [Declared<'a>],
    /// What was found about the policy names so far, the one that is being read last.
    trees: Vec<Tree<'a>>,
}

/// A name that is read once all are known.
struct Pending<'a> {
    zone: ZoneIndex,
    whole: String,
    node: Node<'a>,
}

/// Reads the names of all zones: the short forms, then a tree for each other name, in order of zone, then name.
pub(super) fn read<'a, 'b>(
    zones: &'b [Declared<'a>],
    names: &'b Names<'b>,
    regions: &'b [Region],
    checks: &'b Checks<'b>,
) -> Trees<'a, 'b> {
    let mut trees = Trees {
        latency_names: Vec::new(),
        policy_names: Vec::new(),
        policy_nodes: Vec::new(),
        names,
        regions,
        checks,
        known: BTreeMap::new(),
        zones,
        trees: Vec::new(),
    };
    let mut pending = trees.declare();
    pending.sort_by(|a, b| (a.zone, &a.whole).cmp(&(b.zone, &b.whole)));
    for (i, name) in pending.iter().enumerate() {
        trees.known.insert(name.whole.clone(), Known::Policy(PolicyNameIndex(i)));
    }
    let mut roots = Vec::with_capacity(pending.len());
    for name in &pending {
        let is_apex = name.whole == zones[name.zone.0].zone.origin;
        trees.trees.push(Tree::new(name.zone, is_apex));
        let before = trees.policy_nodes.len();
        roots.push(trees.name(&name.node));
        let nodes = trees.policy_nodes.len() - before;
        if let Some(tree) = trees.trees.last_mut() {
            tree.finish(nodes);
        }
    }
    aliases::check(&trees.trees);
    for (Pending { zone, whole, .. }, root) in pending.into_iter().zip(roots) {
        if let Some(root) = root {
            trees.policy_names.push(PolicyName { zone, name: whole, root });
        }
    }
    trees
}

impl<'a> Trees<'a, '_> {
    /// Reads the short forms and lists the rest.
    fn declare(&mut self) -> Vec<Pending<'a>> {
        let zones = self.zones;
        let origins: BTreeSet<&str> = zones.iter().map(|d| d.zone.origin.as_str()).collect();
        let mut pending = Vec::new();
        for (i, Declared { zone, names, .. }) in zones.iter().enumerate() {
            for (name, node) in names {
                let whole = match check_dns_name(name, &zone.origin) {
                    Ok(whole) => whole,
                    Err(message) => {
                        node.problem(message);
                        continue;
                    }
                };
                if i == 0 && is_made(&whole, &zone.origin) {
                    node.problem("is reserved: the names of accelerators and load balancers are below it");
                }
                let mut above = whole.as_str();
                while above.len() > zone.origin.len() {
                    if origins.contains(above) {
                        node.problem(format!("is in the zone {}, which has names of its own", quoted(above)));
                        break;
                    }
                    above = above.split_once('.').map_or("", |(_, rest)| rest);
                }
                if i == 0 && is_short(node.value) && !name.contains(['.', '*', '@']) {
                    if let Some(latency) = self.latency_name(name, node) {
                        if let Some(load_balancer) = node.value.find_ref("load_balancer").and_then(Value::as_str) {
                            self.known.insert(whole, Known::Latency(load_balancer));
                        }
                        self.latency_names.push(latency);
                    }
                } else {
                    pending.push(Pending { zone: ZoneIndex(i), whole, node: node.clone() });
                }
            }
        }
        pending
    }

    fn latency_name(&self, label: &str, node: &Node<'a>) -> Option<LatencyName> {
        let t = node.table()?;
        t.need("policy").and_then(|n| n.choice(&[("latency", ())], &[]));
        let load_balancer = t.need("load_balancer").and_then(|n| {
            let name = n.str()?;
            let known = self.names.regions().any(|r| r.load_balancers.contains_key(name));
            if !known && self.names.all_known() {
                n.problem(format!("no region has a load balancer {}", quoted(name)));
            }
            Some(LoadBalancerName::new(name))
        });
        let ttl: Duration = t.seconds_or("ttl_seconds", 5..=300, 30);
        t.finish();
        Some(LatencyName { label: label.to_owned(), load_balancer: load_balancer?, ttl })
    }

    fn name(&mut self, node: &Node<'a>) -> Option<PolicyNodeIndex> {
        let t = node.table()?;
        // What stands at a name whose policy is not known cannot be judged.
        let kind = t.need("policy").and_then(|n| n.choice(&POLICIES, &[]))?;
        let ttl = t.seconds_or("ttl_seconds", 5..=300, 30);
        let mut at = At { ttl, region: None, of: Kind::Simple, is_name: true, depth: 0 };
        let made = if kind == Kind::Simple {
            at.region = t.get("region").and_then(|n| self.own_region(&n)).map(|r| r.index);
            if let Some(node) = t.get("region")
                && t.get("load_balancer").is_none()
            {
                node.problem("has nothing to say here: no load balancer stands here");
            }
            self.record(&t, at)
        } else {
            self.group(&t, kind, at)
        };
        t.finish();
        made.map(|made| made.node)
    }

    /// A latency policy over every region's load balancer of this name; none when no region has one.
    pub(super) fn nearest(&mut self, load_balancer: &str) -> Option<Made> {
        let found: Vec<_> = self
            .names
            .coded_regions()
            .filter_map(|(code, names)| Some((code.to_owned(), names.index, *names.load_balancers.get(load_balancer)?)))
            .collect();
        if found.is_empty() {
            return None;
        }
        let index = self.push(PolicyNode::Group(PolicyGroup { policy: Policy::Latency, branches: Vec::new() }));
        let branch = |(set_identifier, region, load_balancer): (String, RegionIndex, _)| {
            let target = RecordTarget::LoadBalancer(load_balancer);
            // An alias has its target's TTL; this one is of no record.
            let record = PolicyRecord { ttl: Duration::from_secs(30), target, others: Vec::new() };
            let node = self.push(PolicyNode::Record(record));
            let key = BranchKey::Region(region);
            PolicyBranch { set_identifier, key, node, health_check: None, evaluate_target_health: true }
        };
        let branches = found.into_iter().map(branch).collect();
        self.fill(index, branches);
        Some(Made { node: index, label: Some(load_balancer.to_owned()), is_alias: true })
    }

    pub(super) fn push(&mut self, node: PolicyNode) -> PolicyNodeIndex {
        self.policy_nodes.push(node);
        PolicyNodeIndex(self.policy_nodes.len() - 1)
    }

    /// Puts the branches in the group that was pushed before them.
    pub(super) fn fill(&mut self, index: PolicyNodeIndex, made: Vec<PolicyBranch>) {
        if let Some(PolicyNode::Group(group)) = self.policy_nodes.get_mut(index.0) {
            group.branches = made;
        }
    }

    fn current(&self) -> Option<&Declared<'a>> {
        self.zones.get(self.trees.last()?.zone.0)
    }

    /// The apex of the zone that is being read.
    pub(super) fn origin(&self) -> String {
        self.current().map(|d| d.zone.origin.clone()).unwrap_or_default()
    }

    /// Whether the zone that is being read has a file.
    pub(super) fn has_file(&self) -> bool {
        self.current().is_some_and(|d| d.has_file)
    }

    /// Notes that the name that is being read has an alias to another.
    pub(super) fn note_alias(&mut self, to: PolicyNameIndex, node: &Node<'a>) {
        if let Some(tree) = self.trees.last_mut() {
            tree.aliases.push((to.0, node.clone()));
        }
    }

    /// Notes the types of a record of the name that is being read.
    pub(super) fn note_types(&mut self, values: Option<&(Vec<RecordValues>, Node<'a>)>, has_target: bool) {
        if let Some(tree) = self.trees.last_mut() {
            tree.note_types(values, has_target);
        }
    }
}

/// Whether a name is written as the latency policy's short form.
fn is_short(name: &Value) -> bool {
    let policy = name.find_ref("policy").and_then(Value::as_str);
    policy == Some("latency") && name.as_dict().is_some_and(|t| !t.contains_key("records"))
}
