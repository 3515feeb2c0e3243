use perigee_model::ZoneIndex;
use perigee_model::dns::RecordValues;

use super::circles::walk;
use crate::reader::Node;

/// Aliases one after another, at most (Perigee's choice).
const MAX_CHAIN: usize = 16;

/// Records and groups that one answer may have to look at, aliases followed, at most (Perigee's choice: names of a
/// hundred aliases each would soon be more than anybody can walk).
const MAX_NODES: usize = 10_000;

/// What the tree of one name has, beside its nodes.
pub(super) struct Tree<'a> {
    pub(super) zone: ZoneIndex,
    is_apex: bool,
    /// Names that it has aliases to, by position, with where.
    pub(super) aliases: Vec<(usize, Node<'a>)>,
    nodes: usize,
    /// Where a CNAME stands.
    cname: Option<Node<'a>>,
    has_others: bool,
}

impl<'a> Tree<'a> {
    pub(super) const fn new(zone: ZoneIndex, is_apex: bool) -> Self {
        Self { zone, is_apex, aliases: Vec::new(), nodes: 0, cname: None, has_others: false }
    }

    /// Notes the types of one record. `has_target`: it has addresses or is an alias.
    pub(super) fn note_types(&mut self, values: Option<&(Vec<RecordValues>, Node<'a>)>, has_target: bool) {
        self.has_others |= has_target;
        if let Some((values, node)) = values {
            let is_cname = |v: &RecordValues| v.record_type == "CNAME";
            self.has_others |= values.iter().any(|v| !is_cname(v));
            if values.iter().any(is_cname) {
                self.cname.get_or_insert_with(|| node.clone());
            }
        }
    }

    /// Judges the types together once the tree has all its nodes.
    pub(super) fn finish(&mut self, nodes: usize) {
        self.nodes = nodes;
        if let Some(node) = &self.cname {
            if self.is_apex {
                node.problem("clash: a CNAME cannot stand at the apex, where the SOA is; an alias can");
            } else if self.has_others {
                node.problem("clash: a name with a CNAME has no other type, in no record of its tree");
            }
        }
    }
}

/// Judges the aliases between names: no circles, no chains or trees beyond measure, no CNAME for an apex.
pub(super) fn check(trees: &[Tree<'_>]) {
    let refers: Vec<Vec<usize>> = trees.iter().map(|t| t.aliases.iter().map(|(to, _)| *to).collect()).collect();
    let found = walk(&refers);
    for (name, position) in &found.closing {
        trees[*name].aliases[*position].1.problem("goes in a circle: the name that it leads to leads back here");
    }
    if !found.closing.is_empty() {
        return;
    }
    // Of each name with what its aliases lead to: aliases one after another, nodes, whether there is a CNAME.
    let mut whole = vec![(0_usize, 0_usize, false); trees.len()];
    for name in found.order {
        let tree = &trees[name];
        let (mut chain, mut nodes, mut has_cname) = (0, tree.nodes, tree.cname.is_some());
        for (to, node) in &tree.aliases {
            let (below, more, leads_to_cname) = whole[*to];
            if below == MAX_CHAIN {
                node.problem(format!("more than {MAX_CHAIN} aliases would follow one another"));
            }
            if tree.is_apex && leads_to_cname {
                node.problem("clash: it leads to a CNAME, which cannot stand at the apex");
            }
            let (before, after) = (nodes, nodes.saturating_add(more));
            if before <= MAX_NODES && after > MAX_NODES {
                node.problem(format!("more than {MAX_NODES} records and policies would have to be looked at"));
            }
            (chain, nodes, has_cname) = (chain.max(below + 1), after, has_cname || leads_to_cname);
        }
        whole[name] = (chain, nodes, has_cname);
    }
}
