use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use perigee_model::{AllocationId, ElasticIp, Instance, InstanceId};

use crate::names::check_host_address;
use crate::reader::{Node, Table};
use crate::regions::Scope;

/// Whether a text is an id of the given kind: the prefix and 8 to 17 hexadecimal digits (EC2 user guide, "Resource
/// IDs": 8 in old accounts, 17 since).
pub(crate) fn is_id(text: &str, prefix: &str) -> bool {
    let is_hexadecimal = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let digits = text.strip_prefix(prefix).unwrap_or_default();
    (8..=17).contains(&digits.len()) && digits.bytes().all(is_hexadecimal)
}

/// Who has which address among the instances and elastic IPs of all regions.
pub(crate) type Owners = BTreeMap<IpAddr, String>;

/// Reads the instances of a region, in order of their ids.
pub(crate) fn read(region: &Table<'_>, scope: &Scope<'_>, owners: &mut Owners) -> Vec<Instance> {
    let mut made = Vec::new();
    for (id, node) in region.entries("instances") {
        check_id(id, &node, "i-");
        let Some(t) = node.table() else { continue };
        let address = ipv4(&t, id, owners);
        let ipv6 = t.get("ipv6").and_then(|node| {
            let address = ipv6(&node)?;
            is_free(&node, address.into(), id, owners).then_some(address)
        });
        t.unbuilt(&["instance_type", "vpc_id", "subnet_id", "security_groups", "tags"]);
        t.finish();
        made.extend(address.map(|address| Instance { id: InstanceId::new(id), region: scope.index, address, ipv6 }));
    }
    made
}

/// Reads the elastic IP addresses of a region, in order of their ids.
pub(crate) fn read_elastic_ips(region: &Table<'_>, scope: &Scope<'_>, owners: &mut Owners) -> Vec<ElasticIp> {
    let mut made = Vec::new();
    for (id, node) in region.entries("elastic_ips") {
        check_id(id, &node, "eipalloc-");
        let Some(t) = node.table() else { continue };
        let address = ipv4(&t, id, owners);
        t.unbuilt(&["instance", "public_ipv4_pool", "tags"]);
        t.finish();
        made.extend(address.map(|address| ElasticIp { id: AllocationId::new(id), region: scope.index, address }));
    }
    made
}

fn check_id(id: &str, node: &Node<'_>, prefix: &str) {
    if !is_id(id, prefix) {
        node.problem(format!("is no legal id: \"{prefix}\" and 8 to 17 of 0-9 and a-f"));
    }
}

fn ipv4(t: &Table<'_>, id: &str, owners: &mut Owners) -> Option<IpAddr> {
    let node = t.need("address")?;
    let address = node.parse(check_host_address)?;
    if address.is_ipv6() {
        node.problem("must be an IPv4 address; an instance may have an IPv6 one beside it, as `ipv6`");
        return None;
    }
    is_free(&node, address, id, owners).then_some(address)
}

/// An IPv6 address of one host.
pub(crate) fn ipv6(node: &Node<'_>) -> Option<Ipv6Addr> {
    match node.parse(check_host_address)? {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => Some(address),
        IpAddr::V4(_) | IpAddr::V6(_) => {
            node.problem("must be an IPv6 address");
            None
        }
    }
}

fn is_free(node: &Node<'_>, address: IpAddr, id: &str, owners: &mut Owners) -> bool {
    match owners.insert(address, id.to_owned()) {
        Some(other) => {
            node.problem(format!("clash: {address} is the address of {other} already"));
            false
        }
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_prefix_and_eight_to_seventeen_hexadecimal_digits() {
        for good in ["i-01234567", "i-0123456789abcdef0"] {
            assert!(is_id(good, "i-"), "{good}");
        }
        for bad in ["", "i-", "i-0123456", "i-0123456789abcdef01", "i-0123456g", "i-0123456A", "j-01234567", "01234567"]
        {
            assert!(!is_id(bad, "i-"), "{bad}");
        }
    }
}
