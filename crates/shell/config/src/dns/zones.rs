use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use perigee_model::dns::{HostedZone, SigningAlgorithm, ZoneFile, ZoneSigning};

use crate::names::check_zone;
use crate::reader::{Node, Table};
use crate::runtime::{directory, file};

/// Bytes of one zone file, at most: about a million records.
const MAX_ZONE_BYTES: usize = 64 << 20;

/// Bytes of all zone files together, at most. Perigee's choice: it bounds the memory that a reload can take.
const MAX_ALL_BYTES: usize = 256 << 20;

/// Labels below the built-in zone that Perigee makes the names of itself.
const MADE: [&str; 2] = ["accelerator", "elb"];

/// A zone and what its names are read from.
pub(super) struct Declared<'a> {
    pub(super) zone: HostedZone,
    /// Whether it has a file, be it one that cannot be read.
    pub(super) has_file: bool,
    /// Names relative to the zone's apex, as written.
    pub(super) names: Vec<(&'a str, Node<'a>)>,
}

/// Reads the built-in zone's switches, then the other zones in order of their origins.
pub(super) fn read<'a>(dns: &Table<'a>, origin: &str, base: Option<&Path>) -> Vec<Declared<'a>> {
    let mut budget = MAX_ALL_BYTES;
    let mut others = BTreeMap::new();
    let mut declared = |t: &Table<'a>, apex: &str| Declared {
        zone: hosted(t, apex, base, &mut budget),
        has_file: t.get("file").is_some(),
        names: t.entries("names"),
    };
    let built_in = declared(dns, origin);
    for (key, node) in dns.entries("zones") {
        let apex = match check_zone(key) {
            Ok(apex) => apex,
            Err(message) => {
                node.problem(message);
                continue;
            }
        };
        if apex == origin {
            node.problem("is the built-in zone: its names stand in `dns.names`, its switches in `dns`");
        }
        if is_made(&apex, origin) {
            node.problem("would hide the names of accelerators or load balancers");
        }
        let Some(t) = node.table() else { continue };
        let zone = declared(&t, &apex);
        t.finish();
        if others.insert(apex, zone).is_some() {
            node.problem("duplicate: DNS does not tell this zone from another one");
        }
    }
    std::iter::once(built_in).chain(others.into_values()).collect()
}

/// Whether a whole name is `apex` or below it.
pub(super) fn is_within(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether Perigee makes this name of the built-in zone, or those below it, itself.
pub(super) fn is_made(name: &str, origin: &str) -> bool {
    MADE.iter().any(|label| is_within(name, &format!("{label}.{origin}")))
}

fn hosted(t: &Table<'_>, origin: &str, base: Option<&Path>, budget: &mut usize) -> HostedZone {
    HostedZone {
        origin: origin.to_owned(),
        file: t.get("file").and_then(|n| zone_file(&n, base, budget)),
        client_subnet: t.bool_or("client_subnet", true),
        route53_parity: t.bool_or("route53_parity", false),
        signing: t.get("signing").and_then(|n| signing(&n, origin, base)),
    }
}

fn signing(node: &Node<'_>, origin: &str, base: Option<&Path>) -> Option<ZoneSigning> {
    // The other algorithms that resolvers still know (RFC 8624 section 3.1).
    const UNBUILT: [&str; 4] = ["rsasha256", "rsasha512", "ecdsap384sha384", "ed448"];
    const BUILT: [(&str, SigningAlgorithm); 2] =
        [("ecdsap256sha256", SigningAlgorithm::EcdsaP256Sha256), ("ed25519", SigningAlgorithm::Ed25519)];
    let t = node.table()?;
    let algorithm = t.or("algorithm", SigningAlgorithm::default(), "ecdsap256sha256", |n| n.choice(&BUILT, &UNBUILT));
    let key_directory = t.get("key_directory").and_then(|n| {
        directory(&n, base, |path| {
            format!("`perigee dns keys generate --directory {} --zone {origin}` makes it", path.display())
        })
    });
    let nsec3 = t.bool_or("nsec3", false);
    t.finish();
    Some(ZoneSigning { algorithm, key_directory, nsec3 })
}

fn zone_file(node: &Node<'_>, base: Option<&Path>, budget: &mut usize) -> Option<ZoneFile> {
    let path = file(node, base)?;
    match text(&path, budget) {
        Ok(text) => Some(ZoneFile { name: node.value.as_str().unwrap_or_default().to_owned(), text: Arc::from(text) }),
        Err(message) => {
            node.problem(message);
            None
        }
    }
}

fn text(path: &Path, budget: &mut usize) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_ZONE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() > MAX_ZONE_BYTES {
        return Err(format!("is larger than {MAX_ZONE_BYTES} bytes"));
    }
    *budget = budget
        .checked_sub(bytes.len())
        .ok_or_else(|| format!("is not read: the zone files are larger than {MAX_ALL_BYTES} bytes together"))?;
    String::from_utf8(bytes).map_err(|e| format!("is not UTF-8 from byte {}", e.utf8_error().valid_up_to()))
}
