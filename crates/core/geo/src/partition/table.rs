use crate::atlas::uniform_prefix;
use crate::range_map::RangeMap;

/// Set: the rest is the number of a block. Clear: the class, and above it the scope.
const BLOCK: u32 = 1 << 31;

const CLASS_BITS: u32 = 25;

/// Classes are below this.
pub(super) const CLASSES_MAX: u32 = 1 << CLASS_BITS;

/// Maps of at most this many ranges stay a list: a search in it is as quick, and takes no 256 KiB.
const LIST_MAX: usize = 64;

/// Entries of a block, one for each value of an octet.
const FAN: usize = 256;

/// A map of IPv4 as a multibit trie: an entry for every /16, behind those that are not uniform one for every /24, and
/// behind those likewise one for every address.
///
/// An entry that is uniform holds class and scope together, for inside a network that lies wholly in one range the
/// scope is everywhere the same.
#[derive(Debug)]
pub(super) enum Table {
    List(RangeMap<u32>),
    Trie { root: Box<[u32]>, blocks: Vec<u32> },
}

impl Table {
    pub(super) fn new(map: RangeMap<u32>) -> Self {
        if map.len() <= LIST_MAX {
            return Self::List(map);
        }
        let mut ranges = Ranges { ranges: map.iter().collect(), at: 0 };
        let mut blocks = Vec::new();
        let root = (0..1_u32 << 16).map(|high| ranges.entry(high << 16, 16, &mut blocks)).collect();
        blocks.shrink_to_fit();
        Self::Trie { root, blocks }
    }

    pub(super) fn is_uniform(&self) -> bool {
        matches!(self, Self::List(map) if map.len() == 1)
    }

    pub(super) fn get(&self, bits: u32) -> (u32, u8) {
        let (root, blocks) = match self {
            Self::List(map) => {
                let (class, first, next) = map.range(bits);
                return (class, uniform_prefix(bits.into(), first.into(), next.map(u128::from), 32));
            }
            Self::Trie { root, blocks } => (root, blocks),
        };
        let mut entry = root[(bits >> 16) as usize];
        let mut shift = 8;
        while entry & BLOCK != 0 {
            entry = blocks[(entry & !BLOCK) as usize * FAN + (bits >> shift & 0xff) as usize];
            shift = 0;
        }
        (entry & (CLASSES_MAX - 1), (entry >> CLASS_BITS) as u8)
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::List(map) => map.len() * 8,
            Self::Trie { root, blocks } => (root.len() + blocks.len()) * 4,
        }
    }
}

/// The ranges while a trie is made of them, in ascending order.
struct Ranges {
    ranges: Vec<(u32, u32)>,
    at: usize,
}

impl Ranges {
    /// The entry of the network that begins at `first` and leaves `host_bits` free; asked for in ascending order.
    fn entry(&mut self, first: u32, host_bits: u32, blocks: &mut Vec<u32>) -> u32 {
        let last = first | ((1_u64 << host_bits) - 1) as u32;
        while self.ranges.get(self.at + 1).is_some_and(|(start, _)| *start <= first) {
            self.at += 1;
        }
        let (start, class) = self.ranges[self.at];
        let next = self.ranges.get(self.at + 1).map(|(next, _)| *next);
        if next.is_none_or(|next| next > last) {
            let scope = uniform_prefix(first.into(), start.into(), next.map(u128::from), 32);
            return class | u32::from(scope) << CLASS_BITS;
        }
        let block = blocks.len() / FAN;
        blocks.resize(blocks.len() + FAN, 0);
        for octet in 0..FAN {
            let below = self.entry(first | (octet as u32) << (host_bits - 8), host_bits - 8, blocks);
            blocks[block * FAN + octet] = below;
        }
        BLOCK | block as u32
    }
}
