use ipnet::IpNet;
use perigee_geo::Partition;

use super::{Classes, Listed, Located, listed};

/// The longest network around the client, then the shorter ones, then the branch without a network (Route 53 developer
/// guide, "IP-based routing").
///
/// Behind them, for clients of whom none has the type, all branches by position, which is the order of their set
/// identifiers (`spec/dns.md`, E15c).
pub(super) fn build(branches: &[Option<Vec<IpNet>>]) -> Located {
    let mut networks: Vec<(IpNet, u8)> = (0_u8..)
        .zip(branches)
        .flat_map(|(position, nets)| nets.iter().flatten().map(move |net| (net.trunc(), position)))
        .collect();
    networks.sort();
    networks.dedup_by_key(|(net, _)| *net);
    let any: Vec<Listed> = (0..branches.len()).filter(|i| branches[*i].is_none()).map(listed).collect();
    let rest = || (0..branches.len()).map(listed).collect::<Vec<_>>();
    let mut classes = Classes::default();
    let outside = classes.class(any.clone(), rest());
    // Sorted by first address, then length, the networks around one stand before it.
    let mut around: Vec<(IpNet, u8)> = Vec::new();
    let mut of_networks: Vec<(IpNet, u32)> = Vec::with_capacity(networks.len());
    for (net, position) in networks {
        while around.pop_if(|(outer, _)| !outer.contains(&net)).is_some() {}
        around.push((net, position));
        let matched =
            around.iter().rev().map(|(net, position)| (*position, net.prefix_len())).chain(any.iter().copied());
        of_networks.push((net, classes.class(matched.collect(), rest())));
    }
    classes.finish(Partition::of_networks(&of_networks, outside), outside)
}
