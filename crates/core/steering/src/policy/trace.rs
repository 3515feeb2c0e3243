use super::NodeIndex;

/// Whose health counts on a pass through a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pass {
    /// Only what is known to be healthy.
    Healthy,
    /// What is not judged yet as well.
    Initial,
    /// Everything: fail open.
    Open,
}

/// What was found on the way through a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyNote {
    /// A pass begins at a node: the root, or a node whose health its parent does not evaluate.
    Began(NodeIndex, Pass),
    /// The branch at this position has the type and is not usable on this pass.
    Unusable(NodeIndex, u8),
    /// The branch's network is longer than the client subnet.
    LongerThanSource(NodeIndex, u8),
    /// No branch with the type is for this client's place or network.
    NoMatch(NodeIndex),
    /// The branch is picked; the notes of its node follow.
    Picked(NodeIndex, u8),
    /// What stands at the picked branch has nothing for this client, so another one is tried.
    Disappointed(NodeIndex, u8),
}

/// Listens to a decision being made; `()` does not and costs nothing.
pub trait PolicyTrace {
    /// `note` was found.
    fn note(&mut self, note: PolicyNote);
}

impl PolicyTrace for () {
    fn note(&mut self, _: PolicyNote) {}
}

impl PolicyTrace for Vec<PolicyNote> {
    fn note(&mut self, note: PolicyNote) {
        self.push(note);
    }
}
