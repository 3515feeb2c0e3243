//! The ECS scope of a tree: the longest of the nodes that a client's answer may depend on, whatever their health.

use super::draw::prefix_bound;
use super::node::{Rule, What};
use super::{DnsClient, NodeIndex, Trees};

/// Nodes that are followed one by one; with more (Perigee's choice: a decision stays below a few microseconds, and
/// names that alias one another twice at every step would be exponentially many) each distinct one counts.
const FOLLOWED_MAX: u32 = 64;

/// The nodes to take the scope from, if they are too many to be followed.
pub(super) fn too_many(trees: &Trees, root: NodeIndex) -> Option<Box<[NodeIndex]>> {
    let makes_scope = |node: &NodeIndex| match trees.node(*node).what {
        What::Choice(choice) => trees.choice(choice).rule.makes_scope(),
        What::Leaf { .. } | What::Graft { .. } | What::Nothing => false,
    };
    (trees.node(root).scoped > FOLLOWED_MAX).then(|| trees.reachable(root).into_iter().filter(makes_scope).collect())
}

impl Trees {
    /// The scope at and below `node`; 0 without a client subnet.
    ///
    /// Follows every branch that some state of health or some draw could lead this client's network to, so it depends
    /// on neither.
    pub(super) fn scope(&self, node: NodeIndex, kind: u64, client: &DnsClient) -> u8 {
        let node = self.node(node);
        if node.scoped == 0 || node.kinds & kind == 0 {
            return 0;
        }
        let choice = match node.what {
            What::Graft { others: Some((_, others)), .. } if others & kind != 0 => return 0,
            What::Graft { child, .. } => return self.scope(child, kind, client),
            What::Choice(choice) => self.choice(choice),
            What::Leaf { .. } | What::Nothing => return 0,
        };
        let own = self.own_scope(&choice.rule, client);
        if node.scoped == u32::from(choice.rule.makes_scope()) {
            return own;
        }
        let branches = self.branches_of(choice);
        let Some(located) = choice.rule.located() else {
            return branches.iter().fold(own, |scope, branch| scope.max(self.scope(branch.node, kind, client)));
        };
        let preference = self.located[located as usize].preference(client);
        let has_kind = |position: u8| self.node(branches[usize::from(position)].node).kinds & kind != 0;
        let matches = preference.matched.iter().any(|(p, len)| *len <= preference.source_len && has_kind(*p));
        let rest = if matches { &[] } else { preference.rest };
        preference.matched.iter().chain(rest).fold(own, |scope, (position, _)| {
            scope.max(self.scope(branches[usize::from(*position)].node, kind, client))
        })
    }

    /// The longest scope of the nodes given, without regard to which of them the client can come to.
    pub(super) fn scope_of_all(&self, nodes: &[NodeIndex], client: &DnsClient) -> u8 {
        let of_node = |node: &NodeIndex| match self.node(*node).what {
            What::Choice(choice) => self.own_scope(&self.choice(choice).rule, client),
            What::Leaf { .. } | What::Graft { .. } | What::Nothing => 0,
        };
        nodes.iter().map(of_node).max().unwrap_or(0)
    }

    fn own_scope(&self, rule: &Rule, client: &DnsClient) -> u8 {
        let per_client = || client.network.map_or(0, |(address, len)| len.min(prefix_bound(address)));
        match rule.located() {
            Some(located) => self.located[located as usize].scope(client),
            None if rule.makes_scope() => per_client(),
            None => 0,
        }
    }
}
