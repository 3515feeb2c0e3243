use std::collections::BTreeSet;
use std::net::IpAddr;

use perigee_model::LoadBalancerIndex;
use perigee_model::dns::{PolicyNode, PolicyRecord, RecordTarget};

use super::branches::{At, Kind, Made};
use super::trees::{Known, Trees};
use super::values;
use super::zones::is_within;
use crate::key_path::quoted;
use crate::names::{check_dns_name, check_host_address, listed};
use crate::reader::{Node, Table};

/// Addresses of one record, at most (Perigee's choice: as many A records as a message of 4,096 octets holds with room
/// to spare).
const MAX_ADDRESSES: usize = 100;

/// What an answer's addresses are written as.
const TARGETS: [&str; 4] = ["addresses", "load_balancer", "accelerator", "alias"];

/// What an alias leads to.
enum Aliased<'a> {
    Target(RecordTarget),
    /// The nearest region's load balancer of this name.
    Nearest(&'a str),
}

impl<'a> Trees<'a, '_> {
    /// Reads an answer and puts it in place.
    pub(super) fn record(&mut self, t: &Table<'a>, at: At) -> Option<Made> {
        let is_multivalue = at.of == Kind::Multivalue;
        let given: Vec<(&str, Node<'a>)> = TARGETS.iter().filter_map(|key| Some((*key, t.get(key)?))).collect();
        let others = t.get("values").map(|n| (values::read(&n, is_multivalue), n));
        let own_ttl = t.get("ttl_seconds");
        for (_, node) in given.iter().skip(1) {
            node.problem("clash: a record has one of addresses, load_balancer, accelerator and alias");
        }
        let (target, label) = match given.first() {
            None if others.is_some() => (Some(RecordTarget::Addresses(Vec::new())), None),
            None => {
                let wanted = "is missing: addresses, load_balancer, accelerator, alias, values or a policy";
                t.problem_at("addresses", wanted.to_owned());
                return None;
            }
            Some(("addresses", node)) => addresses(node, is_multivalue),
            Some((key, node)) => {
                if is_multivalue {
                    node.problem(format!("{key} is not accepted under multivalue: no alias"));
                }
                if let Some(ttl) = &own_ttl
                    && others.is_none()
                    && !at.is_name
                {
                    ttl.problem("has nothing to say here: an alias has its target's TTL");
                }
                match *key {
                    "load_balancer" => (self.load_balancer(t, node, at), node.value.as_str().map(str::to_owned)),
                    "accelerator" => (self.accelerator(node), node.value.as_str().map(str::to_owned)),
                    _ => match self.alias(node)? {
                        Aliased::Target(target) => (Some(target), node.value.as_str().map(str::to_owned)),
                        // A short form has no tree of its own to go on with, so the alias grows one.
                        Aliased::Nearest(load_balancer) => {
                            if let Some((_, values)) = &others {
                                values.problem("clash: an alias of a latency name stands without values");
                            }
                            return self.nearest(load_balancer);
                        }
                    },
                }
            }
        };
        self.note_types(others.as_ref(), !given.is_empty());
        let record = PolicyRecord {
            ttl: at.ttl,
            target: target?,
            others: others.map(|(values, _)| values).unwrap_or_default(),
        };
        let is_alias = !matches!(record.target, RecordTarget::Addresses(_));
        Some(Made { node: self.push(PolicyNode::Record(record)), label, is_alias })
    }

    /// The region is the record's own, or that of a branch around it.
    fn load_balancer(&self, t: &Table<'a>, node: &Node<'a>, at: At) -> Option<RecordTarget> {
        let name = node.str()?;
        let Some(region) = at.region else {
            if t.get("region").is_none() {
                t.problem_at("region", "is missing: which region's load balancer".to_owned());
            }
            return None;
        };
        let region = self.names.regions().find(|r| r.index == region)?;
        let found: Option<LoadBalancerIndex> = region.load_balancers.get(name).copied();
        if found.is_none() && region.known {
            let known = listed(region.load_balancers.keys().copied());
            node.problem(format!("its region has no load balancer {}; it has {known}", quoted(name)));
        }
        found.map(RecordTarget::LoadBalancer)
    }

    fn accelerator(&self, node: &Node<'a>) -> Option<RecordTarget> {
        let name = node.str()?;
        let accelerators = self.names.accelerators()?;
        let found = accelerators.get(name).copied();
        if found.is_none() {
            let known = listed(accelerators.keys().copied());
            node.problem(format!("there is no accelerator {}; there is {known}", quoted(name)));
        }
        found.map(RecordTarget::Accelerator)
    }

    /// An alias of another name of the zone: one with a policy, else one of the zone's file.
    fn alias(&mut self, node: &Node<'a>) -> Option<Aliased<'a>> {
        let text = node.str()?;
        let origin = &self.origin();
        let whole = match text.strip_suffix('.') {
            None => check_dns_name(text, origin),
            Some(absolute) => match absolute.strip_suffix(origin) {
                Some("") => Ok(origin.to_owned()),
                Some(below) if below.ends_with('.') => check_dns_name(&below[..below.len() - 1], origin),
                _ => Err(format!("is not in the zone {origin}: an alias stays within its zone")),
            },
        };
        let whole = whole.map_err(|message| node.problem(message)).ok()?;
        match self.known.get(&whole).copied() {
            Some(Known::Policy(name)) => {
                self.note_alias(name, node);
                Some(Aliased::Target(RecordTarget::PolicyName(name)))
            }
            Some(Known::Latency(load_balancer)) => Some(Aliased::Nearest(load_balancer)),
            None if self.has_file() => Some(Aliased::Target(RecordTarget::Name(whole))),
            None => {
                let names = self.known.keys().filter(|name| is_within(name, origin));
                let known = listed(names.map(String::as_str));
                let name = quoted(text);
                node.problem(format!("there is no name {name} in the zone, which has no file; there is {known}"));
                None
            }
        }
    }
}

fn addresses(node: &Node<'_>, is_multivalue: bool) -> (Option<RecordTarget>, Option<String>) {
    let Some(list) = node.list_of(1..=MAX_ADDRESSES, "addresses") else { return (None, None) };
    let mut seen = BTreeSet::new();
    let mut made: Vec<IpAddr> = Vec::with_capacity(list.len());
    for node in list {
        let Some(address) = node.parse(check_host_address) else { continue };
        if !seen.insert(address) {
            node.problem(format!("duplicate: {address} is in the record already"));
        } else if is_multivalue && made.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            node.problem("is one too many: under multivalue a record has one value of a type");
        }
        made.push(address);
    }
    let label = made.first().map(ToString::to_string);
    (Some(RecordTarget::Addresses(made)), label)
}
