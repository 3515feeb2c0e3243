use std::collections::BTreeSet;
use std::path::Path;

use perigee_model::{
    ElasticIp, Instance, LoadBalancer, Location, Region, RegionCode, RegionIndex, Snapshot, TargetGroup, ZoneName,
};

use crate::names::{Names, check_region_code};
use crate::reader::{Context, Node, Table};
use crate::runtime::{self, Runtime};
use crate::sockets::Sockets;
use crate::{accelerators, dns, instances, load_balancers, settings, target_groups};

const REGIONS: &str = include_str!("../../../../geo/regions.csv");

/// Reads the whole merged configuration. The result means something only if no problem was found.
pub(crate) fn read_all(
    cx: &Context<'_>,
    unreadable: &BTreeSet<String>,
    base: Option<&Path>,
    generation: u64,
) -> Option<(Snapshot, Runtime)> {
    let root = cx.root().table()?;
    let names = Names::new(cx.merged.tree(), unreadable);
    let mut sockets = Sockets::default();
    let settings = settings::read(&root);
    let dns_table = root.table("dns");
    let runtime = runtime::read(&root, &dns_table, base, &mut sockets);

    let mut made = Made::default();
    for (code, node) in root.entries("regions") {
        made.region(code, &node, &names, &mut sockets);
    }
    let zone = dns::read(&dns_table, &names, &made.regions, base);
    dns_table.finish();
    let resources = Resources::of(&made);
    let accelerators = accelerators::read(&root, &names, &resources, &mut sockets);
    // The AWS-compatible API of a later issue.
    root.unbuilt(&["api"]);
    root.finish();
    sockets.check(cx);
    let snapshot = Snapshot {
        generation,
        settings,
        dns: zone,
        regions: made.regions,
        load_balancers: made.load_balancers,
        target_groups: made.target_groups,
        instances: made.instances,
        elastic_ips: made.elastic_ips,
        accelerators,
    };
    Some((snapshot, runtime))
}

/// Regions and what is in them, in the order of the snapshot.
#[derive(Default)]
pub(crate) struct Made {
    regions: Vec<Region>,
    load_balancers: Vec<LoadBalancer>,
    target_groups: Vec<TargetGroup>,
    instances: Vec<Instance>,
    elastic_ips: Vec<ElasticIp>,
    owners: instances::Owners,
}

impl Made {
    fn region(&mut self, code: &str, node: &Node<'_>, names: &Names<'_>, sockets: &mut Sockets) -> Option<()> {
        if let Err(message) = check_region_code(code) {
            node.problem(message);
        }
        let own = names.region(code)?;
        let t = node.table()?;
        let place = place(&t, code);
        let zones = zones(&t, code);
        let scope = Scope { code, index: own.index, zones: zones.as_deref(), names: own };
        self.load_balancers.extend(load_balancers::read(&t, &scope, sockets));
        self.target_groups.extend(target_groups::read(&t, &scope, sockets));
        self.instances.extend(instances::read(&t, &scope, &mut self.owners));
        self.elastic_ips.extend(instances::read_elastic_ips(&t, &scope, &mut self.owners));
        t.finish();
        let (city, country, location) = place?;
        self.regions.push(Region {
            code: RegionCode::new(code),
            city,
            country,
            location,
            zones: zones?,
            load_balancers: own.load_balancers.values().copied().collect(),
            target_groups: own.target_groups.values().copied().collect(),
        });
        Some(())
    }
}

/// What accelerators ask of the resources they refer to. Those that are wrong in themselves are not here, and nothing
/// is found wrong with who refers to them.
pub(crate) struct Resources<'a> {
    made: &'a Made,
}

impl<'a> Resources<'a> {
    const fn of(made: &'a Made) -> Self {
        Self { made }
    }

    /// Whether a load balancer of a region has no IPv6 addresses.
    pub(crate) fn is_ipv4_load_balancer(&self, region: RegionIndex, name: &str) -> bool {
        let is_it = |lb: &&LoadBalancer| lb.region == region && lb.name.as_str() == name;
        self.made.load_balancers.iter().find(is_it).is_some_and(|lb| !lb.is_dual_stack())
    }

    /// Whether an instance of a region has no IPv6 address.
    pub(crate) fn is_ipv4_instance(&self, region: RegionIndex, id: &str) -> bool {
        let is_it = |instance: &&Instance| instance.region == region && instance.id.as_str() == id;
        self.made.instances.iter().find(is_it).is_some_and(|instance| instance.ipv6.is_none())
    }

    /// The instance or elastic IP that has an address.
    pub(crate) fn owner_of(&self, address: std::net::IpAddr) -> Option<&'a str> {
        self.made.owners.get(&address).map(String::as_str)
    }
}

/// The region that a load balancer or target group is read for.
pub(crate) struct Scope<'a> {
    pub(crate) code: &'a str,
    pub(crate) index: RegionIndex,
    /// None when the zones themselves are wrong: then references to them are not judged.
    pub(crate) zones: Option<&'a [ZoneName]>,
    pub(crate) names: &'a crate::names::RegionNames<'a>,
}

impl Scope<'_> {
    /// The zone that `node` names.
    pub(crate) fn zone(&self, node: &Node<'_>) -> Option<ZoneName> {
        let name = node.str()?;
        if let Some(zones) = self.zones
            && !zones.iter().any(|z| z.as_str() == name)
        {
            if name == "all" {
                node.problem("\"all\" is not built yet; name the target's zone");
                return None;
            }
            let known = crate::names::listed(zones.iter().map(ZoneName::as_str));
            node.problem(format!("{} has no zone {}; it has {known}", self.code, crate::key_path::quoted(name)));
            return None;
        }
        Some(ZoneName::new(name))
    }
}

/// City, country and location: as given, or those of the shipped table.
fn place(t: &Table<'_>, code: &str) -> Option<(String, String, Location)> {
    let known = REGIONS.lines().skip(1).map(|l| l.split(',').collect::<Vec<_>>()).find(|l| l.first() == Some(&code));
    // Columns: code, city, country, continent, latitude, longitude, availability_zones.
    let column = |i: usize| known.as_ref().and_then(|l| l.get(i).copied());
    let number = |i: usize| column(i).and_then(|n| n.parse::<f64>().ok());
    let mut missing = Vec::new();
    let mut text = |key, i, check: fn(&str) -> Result<String, String>| match (t.get(key), column(i)) {
        (Some(node), _) => node.parse(check),
        (None, Some(shipped)) => {
            t.record_default(key, shipped.into());
            Some(shipped.to_owned())
        }
        (None, None) => {
            missing.push(key);
            None
        }
    };
    let city = text("city", 1, crate::names::check_place);
    let country = text("country", 2, |c| {
        if c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase()) {
            Ok(c.to_owned())
        } else {
            Err("must be the two capital letters of ISO 3166, such as \"KR\"".to_owned())
        }
    });
    let mut degrees = |key, i, max: f64| match (t.get(key), number(i)) {
        (Some(node), _) => node.float(-max..=max),
        (None, Some(shipped)) => {
            t.record_default(key, shipped.into());
            Some(shipped)
        }
        (None, None) => {
            missing.push(key);
            None
        }
    };
    let latitude = degrees("latitude", 4, 90.0);
    let longitude = degrees("longitude", 5, 180.0);
    if let Some(first) = missing.first() {
        t.problem_at(first, format!("{code} is not in the shipped table of regions; {} needed", needed(&missing)));
    }
    Some((city?, country?, Location { latitude: latitude?, longitude: longitude? }))
}

fn needed(keys: &[&str]) -> String {
    format!("{} {}", keys.join(", "), if keys.len() == 1 { "is" } else { "are" })
}

/// The zones in name order: the region's code and a letter each (EC2 user guide, "Availability Zones").
fn zones(t: &Table<'_>, code: &str) -> Option<Vec<ZoneName>> {
    let list = t.need("zones")?.list_of(1..=26, "zones")?;
    let before = t.cx.count();
    let mut zones = BTreeSet::new();
    for node in list {
        let Some(zone) = node.table() else { continue };
        if let Some(name) = zone.need("name")
            && let Some(text) = name.str()
        {
            let letter = text.strip_prefix(code).unwrap_or_default().as_bytes();
            if !matches!(letter, [b'a'..=b'z']) {
                name.problem(format!("must be the region's code and a letter, such as \"{code}a\""));
            } else if !zones.insert(ZoneName::new(text)) {
                name.problem(format!("duplicate: the region has a zone \"{text}\" already"));
            }
        }
        zone.finish();
    }
    (t.cx.count() == before).then(|| zones.into_iter().collect())
}
