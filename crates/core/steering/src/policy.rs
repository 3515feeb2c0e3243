//! Names with trees of routing policies: what a tree answers a client.
//!
//! [`Trees`] is made once for a snapshot and an atlas, [`TreeStates`] after each change of health, and
//! [`Trees::decide`] answers from the two. Source: `spec/dns.md` sections 2 and 4.3.

mod build;
mod decision;
mod draw;
mod explain;
mod kind;
mod leaf;
mod located;
mod node;
mod scope;
mod states;
mod trace;
mod walk;

use perigee_geo::Atlas;
use perigee_model::{PolicyNameIndex, Snapshot};

pub use decision::{DnsClient, LeafIndex, NodeIndex, PICKED_MAX, Picked, PolicyDecision, PolicyReason, TreeIndex};
pub use explain::{PolicyBranchExplanation, PolicyExplanation, PolicyStep};
pub use kind::RecordKind;
pub use leaf::Leaf;
pub use states::TreeStates;
pub use trace::{Pass, PolicyNote, PolicyTrace};

pub(crate) use decision::lowered;
use kind::Kinds;
use located::Located;
use node::{Branch, Choice, Node, Tree};

/// All policy trees of one snapshot and atlas, made once; immutable and shared.
///
/// Trees are directed graphs without circles: an alias goes on in the other name's own nodes. Nodes that depend on
/// where the client is share their tables when they have equal keys, so a hundred thousand names of few shapes are
/// small.
#[derive(Debug)]
pub struct Trees {
    kinds: Kinds,
    /// The policy names, then the latency names.
    trees: Vec<Tree>,
    policy_names: usize,
    /// Each behind everything below it.
    nodes: Vec<Node>,
    choices: Vec<Choice>,
    branches: Vec<Branch>,
    leaves: Vec<Leaf>,
    located: Vec<Located>,
}

impl Trees {
    /// Deepest tree, counted in nodes along aliases (Perigee's choice; a question is answered on a bounded stack). What
    /// lies deeper, and an alias in a circle, has no records.
    pub const DEPTH_MAX: u8 = 64;

    /// Makes the trees of `snapshot`, for whose regions `atlas` was built. Deterministic.
    pub fn build(snapshot: &Snapshot, atlas: &Atlas) -> Self {
        build::build(snapshot, atlas)
    }

    /// Whether there is no tree at all.
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty()
    }

    /// The tree of a policy name of the snapshot.
    pub fn of_policy_name(&self, index: PolicyNameIndex) -> TreeIndex {
        TreeIndex(index.0 as u32)
    }

    /// The tree of the latency name at `position` in the snapshot's list.
    pub fn of_latency_name(&self, position: usize) -> TreeIndex {
        TreeIndex((self.policy_names + position) as u32)
    }

    /// The record type of this mnemonic in capitals; none if no tree can have it, [`RecordKind::OTHER`] if only names
    /// of zone files can.
    pub fn kind(&self, mnemonic: &str) -> Option<RecordKind> {
        self.kinds.find(mnemonic)
    }

    /// The mnemonic of a record type, `other` for [`RecordKind::OTHER`].
    pub fn mnemonic(&self, kind: RecordKind) -> &str {
        self.kinds.mnemonic(kind)
    }

    /// The types that the name could have for any client, in a fixed order: what an honest NSEC lists (`spec/dns.md`
    /// section 6). Those of [`Self::file_names`] come on top.
    pub fn kinds(&self, tree: TreeIndex) -> impl Iterator<Item = RecordKind> + use<> {
        self.kinds.in_mask(self.node(self.tree(tree).root).exact)
    }

    /// Whether the name could have the type for some client. Names of zone files count as having every type.
    pub fn has_kind(&self, tree: TreeIndex, kind: RecordKind) -> bool {
        self.node(self.tree(tree).root).kinds & kind.bit() != 0
    }

    /// Positions of the leaves of a tree, each once, ascending. Walks the whole tree and allocates: for building
    /// tables, not for answering.
    pub fn leaves(&self, tree: TreeIndex) -> Vec<LeafIndex> {
        let mut leaves: Vec<LeafIndex> =
            self.reachable(self.tree(tree).root).into_iter().filter_map(|node| self.node(node).leaf()).collect();
        leaves.sort_unstable();
        leaves.dedup();
        leaves
    }

    /// The names of zone files that the tree's answers may be taken from, each once, in order. As [`Self::leaves`].
    pub fn file_names(&self, tree: TreeIndex) -> Vec<&str> {
        let target = |leaf: &LeafIndex| match &self.leaf(*leaf).target {
            perigee_model::dns::RecordTarget::Name(name) => Some(name.as_str()),
            _ => None,
        };
        let mut names: Vec<&str> = self.leaves(tree).iter().filter_map(target).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The answer at `index`.
    pub fn leaf(&self, index: LeafIndex) -> &Leaf {
        &self.leaves[index.0 as usize]
    }

    /// How many nodes, and how many distinct tables of clients' places: for metrics and tests of sharing.
    pub fn counts(&self) -> (usize, usize) {
        (self.nodes.len(), self.located.len())
    }

    /// Bytes of the tables of clients' places.
    pub fn table_size(&self) -> usize {
        self.located.iter().map(Located::size).sum()
    }

    fn tree(&self, index: TreeIndex) -> &Tree {
        &self.trees[index.0 as usize]
    }

    fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    fn choice(&self, index: u32) -> &Choice {
        &self.choices[index as usize]
    }

    fn branches_of(&self, choice: &Choice) -> &[Branch] {
        &self.branches[choice.branches.start as usize..choice.branches.end as usize]
    }

    /// All nodes at and below `root`, each once.
    fn reachable(&self, root: NodeIndex) -> Vec<NodeIndex> {
        let mut seen = std::collections::BTreeSet::from([root]);
        let mut open = vec![root];
        while let Some(node) = open.pop() {
            self.children(node, |child| {
                if seen.insert(child) {
                    open.push(child);
                }
            });
        }
        seen.into_iter().collect()
    }

    fn children(&self, node: NodeIndex, mut visit: impl FnMut(NodeIndex)) {
        match self.node(node).what {
            node::What::Graft { child, .. } => visit(child),
            node::What::Choice(choice) => {
                self.branches_of(self.choice(choice)).iter().for_each(|branch| visit(branch.node));
            }
            node::What::Leaf { .. } | node::What::Nothing => {}
        }
    }
}

#[cfg(test)]
mod tests;
