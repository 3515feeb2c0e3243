use crate::atlas::uniform_prefix;
use crate::range_map::RangeMap;

/// Set: the rest is the number of a block. Clear: the class, and above it the scope.
const BLOCK: u32 = 1 << 31;

const CLASS_BITS: u32 = 25;

/// Classes are below this.
pub(super) const CLASSES_MAX: u32 = 1 << CLASS_BITS;

/// Maps of at most this many ranges stay a list: a search in it is as quick, and takes no 256 KiB.
const LIST_MAX: usize = 64;

/// Values of an octet: what a block stands for.
const FAN: usize = 256;

/// A map of IPv4 as a multibit trie: an entry for every /16, behind those that are not uniform one for every /24, and
/// behind those likewise one for every address.
///
/// An entry that is uniform holds class and scope together, for inside a network that lies wholly in one range the
/// scope is everywhere the same.
#[derive(Debug)]
pub(super) enum Table {
    List(RangeMap<u32>),
    Trie { root: Box<[u32]>, blocks: Blocks },
}

/// The blocks of a trie, each 256 entries of which a run of equal ones is kept once: a tenth of the memory, so that
/// what is asked for stays in the caches (the compressed leaves of Asai and Ohara, "Poptrie", SIGCOMM 2015).
#[derive(Debug, Default)]
pub(super) struct Blocks {
    heads: Vec<Head>,
    entries: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    /// A bit for each octet at which a run begins; the first is always set.
    begins: [u64; 4],
    /// Runs that begin before each word of `begins`.
    before: [u8; 4],
    /// Where the entry of the first run stands.
    first: u32,
}

impl Blocks {
    /// Appends a block; its number.
    fn push(&mut self, entries: &[u32; FAN]) -> usize {
        let mut head = Head { begins: [0; 4], before: [0; 4], first: self.entries.len() as u32 };
        for (octet, entry) in entries.iter().enumerate() {
            if octet == 0 || entries[octet - 1] != *entry {
                head.begins[octet / 64] |= 1 << (octet % 64);
                self.entries.push(*entry);
            }
        }
        for word in 1..4 {
            head.before[word] = head.before[word - 1] + head.begins[word - 1].count_ones() as u8;
        }
        self.heads.push(head);
        self.heads.len() - 1
    }

    fn get(&self, block: usize, octet: u8) -> u32 {
        let head = &self.heads[block];
        let word = usize::from(octet >> 6);
        let up_to = head.begins[word] << (63 - (octet & 63));
        let runs = u32::from(head.before[word]) + up_to.count_ones();
        self.entries[(head.first + runs - 1) as usize]
    }
}

impl Table {
    pub(super) fn new(map: RangeMap<u32>) -> Self {
        if map.len() <= LIST_MAX {
            return Self::List(map);
        }
        let mut ranges = Ranges { ranges: map.iter().collect(), at: 0 };
        let mut blocks = Blocks::default();
        let root = (0..1_u32 << 16).map(|high| ranges.entry(high << 16, 16, &mut blocks)).collect();
        blocks.heads.shrink_to_fit();
        blocks.entries.shrink_to_fit();
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
            entry = blocks.get((entry & !BLOCK) as usize, (bits >> shift) as u8);
            shift = 0;
        }
        (entry & (CLASSES_MAX - 1), (entry >> CLASS_BITS) as u8)
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::List(map) => map.len() * 8,
            Self::Trie { root, blocks } => {
                (root.len() + blocks.entries.len()) * 4 + blocks.heads.len() * size_of::<Head>()
            }
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
    fn entry(&mut self, first: u32, host_bits: u32, blocks: &mut Blocks) -> u32 {
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
        let mut entries = [0; FAN];
        for (octet, entry) in entries.iter_mut().enumerate() {
            *entry = self.entry(first | (octet as u32) << (host_bits - 8), host_bits - 8, blocks);
        }
        BLOCK | blocks.push(&entries) as u32
    }
}
