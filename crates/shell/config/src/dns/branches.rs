use std::collections::BTreeSet;
use std::time::Duration;

use perigee_model::dns::{Policy, PolicyBranch, PolicyGroup, PolicyNode, WeightedDraw};
use perigee_model::{PolicyNodeIndex, RegionIndex};

use super::keys::{OwnRegion, Taken};
use super::trees::Trees;
use crate::key_path::quoted;
use crate::reader::{Node, Table};

/// Groups in one another, at most (Perigee's choice: the deepest trees of the original's examples have four).
const MAX_DEPTH: usize = 16;

/// Characters of a set identifier, at most (`spec/dns.md` section 2.1).
const MAX_IDENTIFIER: usize = 128;

/// A policy as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Simple,
    Weighted,
    Latency,
    Failover,
    Geolocation,
    Geoproximity,
    Multivalue,
    IpBased,
}

/// The policies by name.
pub(super) const POLICIES: [(&str, Kind); 8] = [
    ("simple", Kind::Simple),
    ("weighted", Kind::Weighted),
    ("latency", Kind::Latency),
    ("failover", Kind::Failover),
    ("geolocation", Kind::Geolocation),
    ("geoproximity", Kind::Geoproximity),
    ("multivalue", Kind::Multivalue),
    ("ip-based", Kind::IpBased),
];

impl Kind {
    pub(super) fn name(self) -> &'static str {
        POLICIES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// Records of a group, at most (`spec/dns.md` section 2.3).
    const fn max_records(self) -> usize {
        match self {
            Self::Geoproximity => 30,
            Self::Simple
            | Self::Weighted
            | Self::Latency
            | Self::Failover
            | Self::Geolocation
            | Self::Multivalue
            | Self::IpBased => 100,
        }
    }
}

/// What holds where a group or record stands.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) ttl: Duration,
    /// The region of the branch that this is, or of one around it.
    pub(super) region: Option<RegionIndex>,
    /// The policy that picks this; simple at a name itself.
    pub(super) of: Kind,
    /// Whether this is the name itself and no branch.
    pub(super) is_name: bool,
    /// Groups around this.
    pub(super) depth: usize,
}

/// A node that was made.
pub(super) struct Made {
    pub(super) node: PolicyNodeIndex,
    /// What it answers with, as a name for it if nothing else tells it from the others.
    pub(super) label: Option<String>,
    /// Whether its target has a health to evaluate: a group, or a record that is no list of addresses.
    pub(super) is_alias: bool,
}

/// What the branches of one group have so far.
#[derive(Default)]
struct Group {
    taken: Taken,
    identifiers: BTreeSet<String>,
    ttl: Option<Duration>,
}

impl<'a> Trees<'a, '_> {
    /// Reads a choice between records, or the latency policy's short form.
    pub(super) fn group(&mut self, t: &Table<'a>, kind: Kind, at: At) -> Option<Made> {
        let short = (kind == Kind::Latency && t.get("records").is_none()).then(|| t.get("load_balancer")).flatten();
        for key in ["addresses", "load_balancer", "accelerator", "alias", "values"] {
            if let Some(node) = t.get(key)
                && !(short.is_some() && key == "load_balancer")
            {
                node.problem(format!("belongs to a record; here stands the policy {}", kind.name()));
            }
        }
        let policy = policy(t, kind)?;
        if let Some(node) = short {
            return self.short_form(&node);
        }
        let records = t.need("records")?;
        if at.depth == MAX_DEPTH {
            records.problem(format!("more than {MAX_DEPTH} policies stand in one another"));
            return None;
        }
        let list = records.list_of(1..=kind.max_records(), "records")?;
        let before = t.cx.count();
        // The group's place is in front of its children's.
        let index = self.push(PolicyNode::Group(PolicyGroup { policy, branches: Vec::new() }));
        let mut group = Group::default();
        let at = At { of: kind, is_name: false, depth: at.depth + 1, ..at };
        let made: Vec<_> = list.iter().filter_map(|node| self.branch(node, &mut group, at)).collect();
        if kind == Kind::Failover && t.cx.count() == before && !group.taken.has_both_roles() {
            records.problem("needs one PRIMARY and one SECONDARY record");
        }
        self.fill(index, made);
        Some(Made { node: index, label: None, is_alias: true })
    }

    fn short_form(&mut self, node: &Node<'a>) -> Option<Made> {
        let name = node.str()?;
        let made = self.nearest(name);
        if made.is_none() && self.names.all_known() {
            node.problem(format!("no region has a load balancer {}", quoted(name)));
        }
        made
    }

    fn branch(&mut self, node: &Node<'a>, group: &mut Group, at: At) -> Option<PolicyBranch> {
        let t = node.table()?;
        let kind = at.of;
        let inside = match t.get("policy") {
            // What stands in a record whose policy is not known cannot be judged.
            Some(node) => node.choice(&POLICIES, &[])?,
            None => Kind::Simple,
        };
        let region = t.get("region");
        let own = region.as_ref().and_then(|n| self.own_region(n));
        if let Some(node) = &region
            && !matches!(kind, Kind::Latency | Kind::Geoproximity)
            && inside == Kind::Simple
            && t.get("load_balancer").is_none()
        {
            node.problem(format!("has nothing to say here: no load balancer stands here, and {} picks by none", kind.name()));
        }
        let key = group.taken.read(&t, kind, own);
        let health_check = t.get("health_check").and_then(|n| self.checks.find(&n));
        let own_ttl = t.get("ttl_seconds");
        let ttl = own_ttl.as_ref().and_then(|n| n.int(5..=300_u32)).map(|s| Duration::from_secs(s.into()));
        let below = At { ttl: ttl.unwrap_or(at.ttl), region: own.map(|r| r.index).or(at.region), ..at };
        let made = if inside == Kind::Simple {
            self.record(&t, below)
        } else {
            if kind == Kind::Multivalue {
                t.get("policy")?.problem("is not accepted under multivalue: a record has its values");
            }
            self.group(&t, inside, below)
        };
        let evaluate_target_health = evaluates(&t, kind, made.as_ref());
        let given = t.get("set_identifier");
        let identifier = given.as_ref().map(|n| n.parse(identifier));
        t.finish();
        let (made, key) = (made?, key?);
        if kind == Kind::Weighted && !made.is_alias && *group.ttl.get_or_insert(below.ttl) != below.ttl {
            own_ttl.as_ref().unwrap_or(node).problem("differs: weighted records with addresses share one TTL");
        }
        let set_identifier = match identifier {
            Some(given) => given?,
            None => key.identifier.or(made.label).map_or_else(|| format!("record-{}", group.identifiers.len() + 1), cut),
        };
        if !group.identifiers.insert(set_identifier.clone()) {
            let what = quoted(&set_identifier);
            given.as_ref().unwrap_or(node).problem(match given {
                Some(_) => format!("duplicate: another record has the set identifier {what}"),
                None => format!("duplicate: another record goes by {what}; a set_identifier tells them apart"),
            });
        }
        Some(PolicyBranch { set_identifier, key: key.key, node: made.node, health_check, evaluate_target_health })
    }

    /// The region that a record names.
    pub(super) fn own_region(&self, node: &Node<'a>) -> Option<OwnRegion<'a>> {
        let code = node.str()?;
        if self.names.is_absent(code) {
            node.problem(format!("there is no region {}; there is {}", quoted(code), self.names.known_regions()));
            return None;
        }
        let index = self.names.region(code)?.index;
        // A region with a problem of its own is not there; nothing of this will be used then.
        let location = self.regions.get(index.0)?.location;
        Some(OwnRegion { code, index, location })
    }
}

/// The policy with its own switches.
fn policy(t: &Table<'_>, kind: Kind) -> Option<Policy> {
    for (key, of) in [("draw", Kind::Weighted), ("bias_legacy", Kind::Geoproximity)] {
        if kind != of
            && let Some(node) = t.get(key)
        {
            node.problem(format!("is a key of {}; the policy here is {}", of.name(), kind.name()));
        }
    }
    Some(match kind {
        Kind::Simple => return None,
        Kind::Weighted => {
            const DRAWS: [(&str, WeightedDraw); 2] =
                [("per_query", WeightedDraw::PerQuery), ("per_client", WeightedDraw::PerClient)];
            Policy::Weighted { draw: t.or("draw", WeightedDraw::default(), "per_query", |n| n.choice(&DRAWS, &[])) }
        }
        Kind::Latency => Policy::Latency,
        Kind::Failover => Policy::Failover,
        Kind::Geolocation => Policy::Geolocation,
        Kind::Geoproximity => Policy::Geoproximity { legacy_bias: t.bool_or("bias_legacy", false) },
        Kind::Multivalue => Policy::Multivalue,
        Kind::IpBased => Policy::IpBased,
    })
}

/// Whether the target's health counts (`spec/dns.md` section 2.4).
fn evaluates(t: &Table<'_>, kind: Kind, made: Option<&Made>) -> bool {
    const KEY: &str = "evaluate_target_health";
    match made {
        Some(Made { is_alias: true, .. }) => {
            let evaluates = t.bool_or(KEY, true);
            if !evaluates
                && kind == Kind::Failover
                && let Some(node) = t.get(KEY)
            {
                node.problem("must be true under failover: there is nothing else to fail over by");
            }
            evaluates
        }
        Some(_) => {
            if let Some(node) = t.get(KEY) {
                node.problem("has nothing to say here: addresses have no health but that of a health_check");
            }
            true
        }
        // The record has a problem already; the key is known all the same.
        None => t.get(KEY).and_then(|n| n.bool()).unwrap_or(true),
    }
}

fn identifier(text: &str) -> Result<String, String> {
    if (1..=MAX_IDENTIFIER).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        Ok(text.to_owned())
    } else {
        Err(format!("must have 1 to {MAX_IDENTIFIER} printable characters"))
    }
}

fn cut(label: String) -> String {
    label.chars().take(MAX_IDENTIFIER).collect()
}
