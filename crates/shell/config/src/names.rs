use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use figment::value::Value;
use perigee_model::{
    AcceleratorIndex, ElasticIpIndex, InstanceIndex, LoadBalancerIndex, RegionIndex, TargetGroupIndex,
};

use crate::key_path::quoted;

/// What can be referred to, found by name before anything is checked: a mistake inside a resource does not make the
/// references to it dangle as well. The indices are those of the snapshot, which has the same order.
pub(crate) struct Names<'a> {
    regions: BTreeMap<&'a str, RegionNames<'a>>,
    /// None when the accelerators are no table, which is a problem of its own.
    accelerators: Option<BTreeMap<&'a str, AcceleratorIndex>>,
    /// Regions whose file could not be read: nothing is known about what is in them.
    unreadable: &'a BTreeSet<String>,
    /// False when the regions are no table, which is a problem of its own.
    known: bool,
}

/// What one region has.
pub(crate) struct RegionNames<'a> {
    pub(crate) index: RegionIndex,
    pub(crate) load_balancers: BTreeMap<&'a str, LoadBalancerIndex>,
    pub(crate) target_groups: BTreeMap<&'a str, TargetGroupIndex>,
    pub(crate) instances: BTreeMap<&'a str, InstanceIndex>,
    pub(crate) elastic_ips: BTreeMap<&'a str, ElasticIpIndex>,
    /// False when the region or one of its kinds of resources is no table, which is a problem of its own:
    /// what refers to them is then not called dangling.
    pub(crate) known: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn new(tree: &'a Value, unreadable: &'a BTreeSet<String>) -> Self {
        fn keys(value: Option<&Value>) -> impl Iterator<Item = (&str, &Value)> {
            value.and_then(Value::as_dict).into_iter().flatten().map(|(k, v)| (k.as_str(), v))
        }
        let below = |value: &'a Value, key: &str| value.as_dict().and_then(|d| d.get(key));
        let (mut load_balancers, mut target_groups) = (0.., 0..);
        let (mut instances, mut elastic_ips) = (0.., 0..);
        let regions = keys(below(tree, "regions"))
            .enumerate()
            .map(|(i, (code, region))| {
                let table = |key| below(region, key).is_none_or(|v| v.as_dict().is_some());
                let names = RegionNames {
                    known: region.as_dict().is_some()
                        && ["load_balancers", "target_groups", "instances", "elastic_ips"].into_iter().all(table),
                    index: RegionIndex(i),
                    load_balancers: keys(below(region, "load_balancers"))
                        .map(|(name, _)| name)
                        .zip(load_balancers.by_ref().map(LoadBalancerIndex))
                        .collect(),
                    target_groups: keys(below(region, "target_groups"))
                        .map(|(name, _)| name)
                        .zip(target_groups.by_ref().map(TargetGroupIndex))
                        .collect(),
                    instances: keys(below(region, "instances"))
                        .map(|(id, _)| id)
                        .zip(instances.by_ref().map(InstanceIndex))
                        .collect(),
                    elastic_ips: keys(below(region, "elastic_ips"))
                        .map(|(id, _)| id)
                        .zip(elastic_ips.by_ref().map(ElasticIpIndex))
                        .collect(),
                };
                (code, names)
            })
            .collect();
        let is_table = |key| below(tree, key).is_none_or(|v| v.as_dict().is_some());
        let accelerators = is_table("accelerators").then(|| {
            keys(below(tree, "accelerators")).map(|(name, _)| name).zip((0..).map(AcceleratorIndex)).collect()
        });
        Self { regions, accelerators, unreadable, known: is_table("regions") }
    }

    pub(crate) fn region(&self, code: &str) -> Option<&RegionNames<'a>> {
        self.regions.get(code)
    }

    /// The accelerators by name; none when nothing is known about them.
    pub(crate) const fn accelerators(&self) -> Option<&BTreeMap<&'a str, AcceleratorIndex>> {
        self.accelerators.as_ref()
    }

    /// The regions with their codes, in code order.
    pub(crate) fn coded_regions(&self) -> impl Iterator<Item = (&'a str, &RegionNames<'a>)> {
        self.regions.iter().map(|(code, names)| (*code, names))
    }

    pub(crate) fn regions(&self) -> impl Iterator<Item = &RegionNames<'a>> {
        self.regions.values()
    }

    /// Whether `code` is known to be no region: one whose file could not be read may well be one.
    pub(crate) fn is_absent(&self, code: &str) -> bool {
        self.known && !self.regions.contains_key(code) && !self.unreadable.contains(code)
    }

    /// Whether a name that is in no region is known to dangle.
    pub(crate) fn all_known(&self) -> bool {
        self.known && self.unreadable.is_empty() && self.regions.values().all(|r| r.known)
    }

    /// The known regions for a message, cut to a few.
    pub(crate) fn known_regions(&self) -> String {
        listed(self.regions.keys().copied())
    }
}

/// Names for a message, cut to a few.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const FEW: usize = 8;
    let mut shown: Vec<String> = names.take(FEW + 1).map(|n| quoted(n).trim_matches('"').to_owned()).collect();
    if shown.len() > FEW {
        shown[FEW] = "…".to_owned();
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

fn is_label(text: &str, max: usize) -> bool {
    let inner = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    (1..=max).contains(&text.len()) && inner && !text.starts_with('-') && !text.ends_with('-')
}

/// A region's code: it is part of zone and DNS names, so it is a DNS label. At most 32 characters (Perigee's choice).
pub(crate) fn check_region_code(code: &str) -> Result<(), String> {
    let lower = code.bytes().all(|b| !b.is_ascii_uppercase());
    if is_label(code, 32) && lower && code.starts_with(|c: char| c.is_ascii_lowercase()) {
        Ok(())
    } else {
        Err("the file's name is no region code: 1 to 32 of a-z, 0-9 and `-`, a letter first, no `-` last".to_owned())
    }
}

/// Names of load balancers and target groups (Elastic Load Balancing API, `CreateLoadBalancer`).
pub(crate) fn check_elb_name(name: &str) -> Result<(), String> {
    if !is_label(name, 32) {
        return Err("is no legal name: 1 to 32 letters, digits and `-`, no `-` first or last".to_owned());
    }
    if name.starts_with("internal-") {
        return Err("must not start with \"internal-\"".to_owned());
    }
    Ok(())
}

/// Names of accelerators (`spec/global-accelerator.md` section 2.1); each part between dots is a DNS label too.
pub(crate) fn check_accelerator_name(name: &str) -> Result<(), String> {
    if name.len() <= 64 && name.split('.').all(|label| is_label(label, 63)) {
        Ok(())
    } else {
        Err("is no legal name: 1 to 64 letters, digits, `.` and `-`, neither `.` nor `-` at an end or side by side"
            .into())
    }
}

/// The whole name of `name`, which is relative to `origin`: labels, `@` for the apex, or `*` as the first label.
///
/// Records of other types than addresses have names with `_` (RFC 8552), so it is a letter like any other here.
pub(crate) fn check_dns_name(name: &str, origin: &str) -> Result<String, String> {
    let wrong = "is no DNS name: labels of 1 to 63 of a-z, 0-9, `-` and `_`, no `-` first or last, `@` for the zone \
                 itself, `*` as the first label alone";
    let owner = |label: &str| is_label(&label.replace('_', "x"), 63) && !label.bytes().any(|b| b.is_ascii_uppercase());
    if name == "@" {
        return Ok(origin.to_owned());
    }
    let below = if name == "*" { None } else { Some(name.strip_prefix("*.").unwrap_or(name)) };
    if !below.is_none_or(|labels| labels.split('.').all(owner)) {
        return Err(wrong.to_owned());
    }
    if name.split('.').any(|label| label == "_why") {
        return Err("is reserved: below `_why` the DNS explains its answers".to_owned());
    }
    let whole = format!("{name}.{origin}");
    if whole.len() > 253 {
        return Err(format!("has {} characters with its zone, at most 253 are a DNS name", whole.len()));
    }
    Ok(whole)
}

/// The apex, without a trailing dot. At most 128 characters, which leaves room for the names below (RFC 1035: 253).
pub(crate) fn check_zone(zone: &str) -> Result<String, String> {
    let zone = zone.strip_suffix('.').unwrap_or(zone).to_ascii_lowercase();
    if zone.len() <= 128 && zone.split('.').all(|label| is_label(label, 63)) {
        Ok(zone)
    } else {
        Err("is no DNS zone: labels of 1 to 63 letters, digits and `-`, 128 characters in all".to_owned())
    }
}

/// The name of a host, lower case, without a trailing dot (RFC 1035: 253 characters).
pub(crate) fn check_host_name(name: &str) -> Result<String, String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if name.len() <= 253 && name.split('.').all(|label| is_label(label, 63)) {
        Ok(name)
    } else {
        Err("is no host name: labels of 1 to 63 letters, digits and `-`, 253 characters in all".to_owned())
    }
}

/// A place's name: 1 to 64 characters that can be printed. Whether there is such a place is for geography to say.
pub(crate) fn check_place(name: &str) -> Result<String, String> {
    if (1..=64).contains(&name.chars().count()) && !name.chars().any(char::is_control) {
        Ok(name.to_owned())
    } else {
        Err("is no place: 1 to 64 printable characters".to_owned())
    }
}

/// An address that one host can have.
pub(crate) fn check_host_address(text: &str) -> Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "must be an IP address".to_owned())?;
    let broadcast = matches!(address, IpAddr::V4(a) if a.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(format!("{address} is not the address of one host"));
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_accelerators_name_may_have_dots_but_no_empty_label() {
        for good in ["shop", "a.b", "A-1.b", &"x".repeat(63)] {
            assert!(check_accelerator_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "a.", "a..b", "-a", "a-", "a.-b", "a_b", &"x".repeat(64), &"x.".repeat(33)] {
            assert!(check_accelerator_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_zone_loses_its_trailing_dot_and_its_capitals() {
        assert_eq!(check_zone("Perigee.Test."), Ok("perigee.test".to_owned()));
        assert!(check_zone("").is_err() && check_zone("a..b").is_err() && check_zone("a b").is_err());
    }

    #[test]
    fn a_dns_name_may_be_the_apex_or_a_wildcard_and_ends_in_its_zone() {
        for (name, whole) in
            [("@", "a.test"), ("*", "*.a.test"), ("*.b", "*.b.a.test"), ("_sip._tcp", "_sip._tcp.a.test")]
        {
            assert_eq!(check_dns_name(name, "a.test"), Ok(whole.to_owned()));
        }
        let long = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(63)].join(".");
        for bad in ["", ".", "a..b", "-a", "a.", "A", "a.*", "a*", "**", "é", "_why", "_why.b", &"x".repeat(64), &long]
        {
            assert!(check_dns_name(bad, "a.test").is_err(), "{bad}");
        }
    }
}
