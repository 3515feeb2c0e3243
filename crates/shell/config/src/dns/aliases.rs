use perigee_model::ZoneIndex;
use perigee_model::dns::RecordValues;

use super::circles::walk;
use crate::reader::Node;

/// Policies and records on the way to an answer, aliases followed, at most (Perigee's choice; decisions are made for
/// up to 64).
const MAX_LEVELS: usize = 60;

/// Policies and records that one answer may have to look at, aliases followed, at most (Perigee's choice: names of a
/// hundred aliases each would soon be more than anybody can walk).
const MAX_NODES: usize = 4_000;

/// What the tree of one name has, beside its nodes.
pub(super) struct Tree<'a> {
    pub(super) zone: ZoneIndex,
    is_apex: bool,
    aliases: Vec<Alias<'a>>,
    nodes: usize,
    levels: usize,
    /// Where a CNAME stands.
    cname: Option<Node<'a>>,
    has_others: bool,
}

/// An alias to another policy name.
struct Alias<'a> {
    /// The name's position.
    to: usize,
    /// Policies and records from the root down to it, itself included.
    level: usize,
    node: Node<'a>,
}

impl<'a> Tree<'a> {
    pub(super) const fn new(zone: ZoneIndex, is_apex: bool) -> Self {
        Self { zone, is_apex, aliases: Vec::new(), nodes: 0, levels: 0, cname: None, has_others: false }
    }

    /// Notes a record so many levels below the name, itself included.
    pub(super) fn note_level(&mut self, level: usize) {
        self.levels = self.levels.max(level);
    }

    /// Notes an alias so many levels below the name, itself included.
    pub(super) fn note_alias(&mut self, to: usize, level: usize, node: &Node<'a>) {
        self.aliases.push(Alias { to, level, node: node.clone() });
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

/// Judges the aliases between names: no circles, no trees beyond measure, no CNAME for an apex.
pub(super) fn check(trees: &[Tree<'_>]) {
    let refers: Vec<Vec<usize>> = trees.iter().map(|t| t.aliases.iter().map(|alias| alias.to).collect()).collect();
    let found = walk(&refers);
    for (name, position) in &found.closing {
        let alias = &trees[*name].aliases[*position];
        alias.node.problem("goes in a circle: the name that it leads to leads back here");
    }
    if !found.closing.is_empty() {
        return;
    }
    // Of each name with what its aliases lead to: levels, nodes, whether there is a CNAME.
    let mut whole = vec![(0_usize, 0_usize, false); trees.len()];
    for name in found.order {
        let tree = &trees[name];
        let (mut levels, mut nodes, mut has_cname) = (tree.levels, tree.nodes, tree.cname.is_some());
        for Alias { to, level, node } in &tree.aliases {
            let (levels_below, more, leads_to_cname) = whole[*to];
            if levels_below <= MAX_LEVELS && level + levels_below > MAX_LEVELS {
                node.problem(format!("more than {MAX_LEVELS} policies and records would follow one another"));
            }
            if tree.is_apex && leads_to_cname {
                node.problem("clash: it leads to a CNAME, which cannot stand at the apex");
            }
            let (before, after) = (nodes, nodes.saturating_add(more));
            if before <= MAX_NODES && after > MAX_NODES {
                node.problem(format!("more than {MAX_NODES} policies and records would have to be looked at"));
            }
            (levels, nodes, has_cname) = (levels.max(level + levels_below), after, has_cname || leads_to_cname);
        }
        whole[name] = (levels, nodes, has_cname);
    }
}
