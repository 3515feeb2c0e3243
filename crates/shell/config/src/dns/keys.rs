use std::collections::BTreeSet;

use ipnet::IpNet;
use perigee_model::dns::{BranchKey, GeoLocation};
use perigee_model::{Location, RegionIndex};

use super::branches::Kind;
use crate::reader::{Node, Table};
use crate::runtime::parse_network;

/// Networks of one branch, at most (Route 53 API, `UpdateCidrCollection`: 1,000 a location).
const MAX_NETWORKS: usize = 1_000;

/// The keys of a branch and the policies that they belong to. `region` is the latency policy's and geoproximity's,
/// but names a load balancer's region under every policy, so it is not among them.
const KEYS: [(&str, Kind); 11] = [
    ("weight", Kind::Weighted),
    ("failover", Kind::Failover),
    ("continent", Kind::Geolocation),
    ("country", Kind::Geolocation),
    ("subdivision", Kind::Geolocation),
    ("location", Kind::Geolocation),
    ("latitude", Kind::Geoproximity),
    ("longitude", Kind::Geoproximity),
    ("bias", Kind::Geoproximity),
    ("local_zone_group", Kind::Geoproximity),
    ("cidrs", Kind::IpBased),
];

/// The keys that the branches of one group have so far: each may be there once.
#[derive(Default)]
pub(super) struct Taken {
    regions: BTreeSet<RegionIndex>,
    roles: BTreeSet<&'static str>,
    areas: BTreeSet<GeoLocation>,
    /// In hundredths of a degree.
    places: BTreeSet<(i64, i64)>,
    networks: BTreeSet<IpNet>,
    any_network: bool,
}

/// A key, and the set identifier that follows from it if one does.
pub(super) struct Key {
    pub(super) key: BranchKey,
    pub(super) identifier: Option<String>,
}

impl Key {
    fn new(key: BranchKey, identifier: impl Into<String>) -> Option<Self> {
        Some(Self { key, identifier: Some(identifier.into()) })
    }
}

/// The branch's own region, if it has one.
#[derive(Clone, Copy)]
pub(super) struct OwnRegion<'a> {
    pub(super) code: &'a str,
    pub(super) index: RegionIndex,
    pub(super) location: Location,
}

impl Taken {
    /// Reads what a group of this policy picks the branch by (`spec/dns.md` sections 2.2 and 2.3).
    ///
    /// `region` is none when there is none, or when it is wrong, which is a problem of its own.
    pub(super) fn read(&mut self, t: &Table<'_>, kind: Kind, region: Option<OwnRegion<'_>>) -> Option<Key> {
        for (key, of) in KEYS {
            if of != kind
                && let Some(node) = t.get(key)
            {
                node.problem(format!("is a key of {}; the policy here is {}", of.name(), kind.name()));
            }
        }
        match kind {
            Kind::Simple => None,
            Kind::Weighted => {
                let weight = t.need("weight")?.int(0..=255)?;
                Some(Key { key: BranchKey::Weight(weight), identifier: None })
            }
            Kind::Latency => self.region(t, region),
            Kind::Failover => self.role(&t.need("failover")?),
            Kind::Geolocation => self.area(t),
            Kind::Geoproximity => self.place(t, region),
            Kind::Multivalue => Some(Key { key: BranchKey::Value, identifier: None }),
            Kind::IpBased => self.networks(&t.need("cidrs")?),
        }
    }

    /// Whether both roles of failover are there.
    pub(super) fn has_both_roles(&self) -> bool {
        self.roles.len() == 2
    }

    fn region(&mut self, t: &Table<'_>, region: Option<OwnRegion<'_>>) -> Option<Key> {
        let node = t.need("region")?;
        let region = region?;
        if !self.regions.insert(region.index) {
            node.problem(format!("duplicate: {} has a record already", region.code));
        }
        Key::new(BranchKey::Region(region.index), region.code)
    }

    fn role(&mut self, node: &Node<'_>) -> Option<Key> {
        let role = node.choice(&[("PRIMARY", "primary"), ("SECONDARY", "secondary")], &[])?;
        if !self.roles.insert(role) {
            node.problem(format!("duplicate: there is a {role} record already"));
        }
        Key::new(if role == "primary" { BranchKey::Primary } else { BranchKey::Secondary }, role)
    }

    fn area(&mut self, t: &Table<'_>) -> Option<Key> {
        let (continent, country) = (t.get("continent"), t.get("country"));
        let (subdivision, default) = (t.get("subdivision"), t.get("location"));
        let given = [&continent, &country, &default];
        let mut given = given.into_iter().flatten();
        let Some(first) = given.next() else {
            match &subdivision {
                Some(node) => node.problem("needs country = \"US\" beside it"),
                None => t.problem_at("country", "is missing: continent, country or location = \"*\"".to_owned()),
            }
            return None;
        };
        if let Some(second) = given.next() {
            second.problem("clash: a record has one of continent, country and location");
            return None;
        }
        if let Some(node) = &subdivision
            && country.is_none()
        {
            node.problem("needs country = \"US\" beside it");
            return None;
        }
        let area = if let Some(node) = &continent {
            let codes = ["AF", "AN", "AS", "EU", "OC", "NA", "SA"].map(|code| (code, code));
            GeoLocation::Continent(node.choice(&codes, &[])?.to_owned())
        } else if let Some(node) = &default {
            node.choice(&[("*", ())], &[])?;
            GeoLocation::Default
        } else {
            let country = first.parse(two_capitals)?;
            match &subdivision {
                Some(node) if country != "US" => {
                    node.problem("is not accepted: only the United States are divided here");
                    return None;
                }
                Some(node) => GeoLocation::Subdivision(node.parse(two_capitals)?),
                None => GeoLocation::Country(country),
            }
        };
        let identifier = match &area {
            GeoLocation::Default => "default".to_owned(),
            GeoLocation::Continent(code) => format!("continent-{code}"),
            GeoLocation::Country(code) => format!("country-{code}"),
            GeoLocation::Subdivision(code) => format!("country-US-{code}"),
        };
        if !self.areas.insert(area.clone()) {
            subdivision.as_ref().unwrap_or(first).problem("duplicate: this area has a record already");
        }
        Key::new(BranchKey::Location(area), identifier)
    }

    fn place(&mut self, t: &Table<'_>, region: Option<OwnRegion<'_>>) -> Option<Key> {
        t.unbuilt(&["local_zone_group"]);
        let bias = t.int_or("bias", -99..=99, 0);
        let (latitude, longitude) = (t.get("latitude"), t.get("longitude"));
        let (location, identifier, node) = match (&latitude, &longitude) {
            (Some(north), Some(east)) => {
                if let Some(node) = t.get("region")
                    && t.get("load_balancer").is_none()
                {
                    node.problem("clash: latitude and longitude say where the record is");
                }
                let (latitude, longitude) = (degrees(north, 90.0), degrees(east, 180.0));
                let location = Location { latitude: latitude?, longitude: longitude? };
                (location, format!("{},{}", location.latitude, location.longitude), north.clone())
            }
            (Some(_), None) => {
                t.problem_at("longitude", "is missing: latitude says only half of where it is".to_owned());
                return None;
            }
            (None, Some(_)) => {
                t.problem_at("latitude", "is missing: longitude says only half of where it is".to_owned());
                return None;
            }
            (None, None) => {
                let Some(node) = t.get("region") else {
                    t.problem_at("region", "is missing: region, or latitude and longitude".to_owned());
                    return None;
                };
                let region = region?;
                (region.location, region.code.to_owned(), node)
            }
        };
        let hundredths = |degrees: f64| (degrees * 100.0).round() as i64;
        if !self.places.insert((hundredths(location.latitude), hundredths(location.longitude))) {
            node.problem("duplicate: another record is at this place already");
        }
        Key::new(BranchKey::Proximity { location, bias }, identifier)
    }

    fn networks(&mut self, node: &Node<'_>) -> Option<Key> {
        if node.list_if_any().is_none() {
            node.choice(&[("*", ())], &[])?;
            if std::mem::replace(&mut self.any_network, true) {
                node.problem("duplicate: there is a record for all other networks already");
            }
            return Key::new(BranchKey::AnyNetwork, "default");
        }
        let mut networks = Vec::new();
        for node in node.list_of(1..=MAX_NETWORKS, "networks")? {
            let Some(network) = node.parse(routed) else { continue };
            if !self.networks.insert(network) {
                node.problem(format!("duplicate: {network} has a record already"));
            }
            networks.push(network);
        }
        let identifier = networks.first().map(ToString::to_string)?;
        Key::new(BranchKey::Cidrs(networks), identifier)
    }
}

/// A network as long as the original takes them; no network at all is written `"*"`.
fn routed(text: &str) -> Result<IpNet, String> {
    let network = parse_network(text)?;
    let max = if matches!(network, IpNet::V4(_)) { 24 } else { 48 };
    if (1..=max).contains(&network.prefix_len()) {
        Ok(network)
    } else {
        Err(format!("{network} is out of range, /1 to /24 of IPv4 and /1 to /48 of IPv6"))
    }
}

fn two_capitals(code: &str) -> Result<String, String> {
    if code.len() == 2 && code.bytes().all(|b| b.is_ascii_uppercase()) {
        Ok(code.to_owned())
    } else {
        Err("must be the two capital letters of ISO 3166, such as \"KR\"".to_owned())
    }
}

/// At most two decimals, as the original has it.
fn degrees(node: &Node<'_>, max: f64) -> Option<f64> {
    let degrees = node.float(-max..=max)?;
    let hundredths = degrees * 100.0;
    if (hundredths - hundredths.round()).abs() > 1e-6 {
        node.problem(format!("{degrees} has more than two decimals"));
        return None;
    }
    Some(degrees)
}
