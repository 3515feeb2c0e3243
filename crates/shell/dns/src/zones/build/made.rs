//! What a zone must have and its file does not say: SOA, NS and the name servers' addresses.

use std::net::IpAddr;

use hickory_proto::rr::rdata::{A, AAAA, NS, SOA};
use hickory_proto::rr::{Name, RData, RecordType};
use perigee_model::{Snapshot, ZoneIndex};

use super::super::zone::{Node, StoredSet};
use super::super::{seconds, wire_name::name_of};
use super::Draft;

/// TTL of the name server records: they change with the installation, not with health (`spec/dns.md` section 3).
const NAME_SERVER_TTL_S: u32 = 3_600;
/// SOA refresh, retry and expire. Nobody transfers the zone; these are the least that Zonemaster has no remark about.
const SOA_TIMES_S: [i32; 3] = [14_400, 3_600, 1_209_600];
/// Two, since one name server is an error to many a registry. They share no address where there are two of a family,
/// since that is another.
const NAME_SERVERS: [&[u8]; 2] = [b"\x03ns1", b"\x03ns2"];

/// Completes `draft`. The built-in zone's serial is the snapshot's generation, whatever its file says, for its names
/// change with the resources.
pub(super) fn add(snapshot: &Snapshot, draft: &mut Draft, name_server: &[IpAddr]) {
    let origin = name_of(&draft.key);
    if !draft.has_own_servers {
        let names = NAME_SERVERS.map(|key| below(&origin, &key[1..]));
        let data = names.into_iter().map(|name| RData::NS(NS(name))).collect();
        draft.supply(&[], StoredSet { record_type: RecordType::NS, ttl_s: NAME_SERVER_TTL_S, data });
        let [v4, v6] = [IpAddr::is_ipv4, IpAddr::is_ipv6]
            .map(|is_family| dealt(&name_server.iter().copied().filter(is_family).collect::<Vec<_>>()));
        for ((key, v4), v6) in NAME_SERVERS.into_iter().zip(v4).zip(v6) {
            add_addresses(draft, key, &[v4, v6].concat());
        }
    }
    // Serials wrap around by design (RFC 1982).
    let serial = snapshot.generation as u32;
    if draft.set(&[], RecordType::SOA).is_none() {
        let primary = match draft.set(&[], RecordType::NS).and_then(|set| set.data.first()) {
            Some(RData::NS(NS(name))) => name.clone(),
            _ => origin.clone(),
        };
        let negative_ttl_s = seconds(snapshot.dns.negative_ttl);
        let [refresh, retry, expire] = SOA_TIMES_S;
        let hostmaster = below(&origin, b"hostmaster");
        let soa = SOA::new(primary, hostmaster, serial, refresh, retry, expire, negative_ttl_s);
        // Its TTL is that of negative answers, so that it fits both sections (RFC 2308 section 3).
        draft.supply(&[], StoredSet::one(negative_ttl_s, RData::SOA(soa)));
    } else if draft.index == ZoneIndex(0) {
        for data in draft.sets.get_mut(&[][..]).into_iter().flatten().flat_map(|set| &mut set.data) {
            if let RData::SOA(soa) = data {
                soa.serial = serial;
            }
        }
    }
}

/// The addresses in turns to the first and to the second name server; one alone to both.
fn dealt(addresses: &[IpAddr]) -> [Vec<IpAddr>; 2] {
    if addresses.len() < 2 {
        return [addresses.to_vec(), addresses.to_vec()];
    }
    [0, 1].map(|first| addresses.iter().copied().skip(first).step_by(2).collect())
}

fn add_addresses(draft: &mut Draft, key: &[u8], addresses: &[IpAddr]) {
    if draft.nodes.iter().any(|(k, _)| **k == *key) {
        return;
    }
    draft.nodes.push((key.into(), Node::NameServer));
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(RData::A(A(*address))),
            IpAddr::V6(address) => v6.push(RData::AAAA(AAAA(*address))),
        }
    }
    for (record_type, data) in [(RecordType::A, v4), (RecordType::AAAA, v6)] {
        if !data.is_empty() {
            draft.supply(key, StoredSet { record_type, ttl_s: NAME_SERVER_TTL_S, data });
        }
    }
}

fn below(origin: &Name, label: &[u8]) -> Name {
    // Only a zone name of nearly 255 octets has no room for the label; it stands for itself then.
    origin.prepend_label(label).unwrap_or_else(|_| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_name_servers_share_an_address_only_when_there_is_no_other() {
        let all = [1, 2, 3].map(|host| IpAddr::from([192, 0, 2, host]));
        assert!(dealt(&[]).iter().all(Vec::is_empty));
        assert_eq!(dealt(&all[..1]), [vec![all[0]], vec![all[0]]]);
        assert_eq!(dealt(&all[..2]), [vec![all[0]], vec![all[1]]]);
        assert_eq!(dealt(&all), [vec![all[0], all[2]], vec![all[1]]]);
    }
}
