use perigee_model::Snapshot;
use perigee_model::dns::{PolicyNode, RecordTarget};

/// A record type that a tree can have, as a small number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordKind(u8);

impl RecordKind {
    /// IPv4 addresses.
    pub const A: Self = Self(0);
    /// IPv6 addresses.
    pub const AAAA: Self = Self(1);
    /// Every type that no tree has values of: only names of zone files may have it.
    pub const OTHER: Self = Self(63);

    /// The type as a mask.
    pub(super) const fn bit(self) -> u64 {
        1 << self.0
    }

    /// Whether values of this type are addresses.
    pub fn is_address(self) -> bool {
        self.0 < 2
    }
}

/// The types of a snapshot's trees by their mnemonics.
#[derive(Debug)]
pub(super) struct Kinds {
    /// A, AAAA, then the others in order of their mnemonics; at most 63.
    mnemonics: Vec<String>,
    /// Whether an answer is a name of a zone file, which may have any type.
    any_file_name: bool,
}

impl Kinds {
    /// The types that the records of `snapshot` have. Beyond 61 beside the addresses, further ones in order of their
    /// mnemonics are no types of a tree; the policies allow 14 (`spec/dns.md` section 2.1).
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let records = || {
            snapshot.dns.policy_nodes.iter().filter_map(|node| match node {
                PolicyNode::Record(record) => Some(record),
                PolicyNode::Group(_) => None,
            })
        };
        let mut others: Vec<&str> =
            records().flat_map(|record| &record.others).map(|values| values.record_type.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        others.retain(|name| !["A", "AAAA"].contains(name));
        let mnemonics = ["A", "AAAA"].into_iter().chain(others).take(63).map(str::to_owned).collect();
        let any_file_name = records().any(|record| matches!(record.target, RecordTarget::Name(_)));
        Self { mnemonics, any_file_name }
    }

    pub(super) fn find(&self, mnemonic: &str) -> Option<RecordKind> {
        let known = self.mnemonics.iter().position(|known| known == mnemonic).map(|at| RecordKind(at as u8));
        known.or_else(|| self.any_file_name.then_some(RecordKind::OTHER))
    }

    pub(super) fn mnemonic(&self, kind: RecordKind) -> &str {
        self.mnemonics.get(usize::from(kind.0)).map_or("other", String::as_str)
    }

    /// The types in a mask, without [`RecordKind::OTHER`].
    pub(super) fn in_mask(&self, mask: u64) -> impl Iterator<Item = RecordKind> + use<> {
        (0..self.mnemonics.len() as u8).map(RecordKind).filter(move |kind| mask & kind.bit() != 0)
    }
}
