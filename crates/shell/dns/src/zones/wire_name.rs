//! Names in wire form without their root, lower case: what the zones look names up by.

use hickory_proto::rr::Name;

/// Octets of a name in wire form without the root (RFC 1035 section 2.3.4).
pub(crate) const MAX_NAME: usize = 254;
/// Octets of a label (RFC 1035 section 2.3.4).
const MAX_LABEL: usize = 63;

/// A name to look for, on the stack: a query must not cost an allocation before it is known that there is an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LowerName {
    bytes: [u8; MAX_NAME + 1],
    len: usize,
}

impl LowerName {
    /// `name` in wire form with its root, as a query has it; none if it is too long or does not end in the root.
    pub(crate) fn of_wire(name: &[u8]) -> Option<Self> {
        let (root, name) = name.split_last()?;
        let mut lower = Self { bytes: [0; MAX_NAME + 1], len: name.len() };
        let bytes = lower.bytes.get_mut(..name.len()).filter(|_| *root == 0)?;
        bytes.copy_from_slice(name);
        // Length octets are at most 63, below every letter, so the whole name can be lowered as it stands.
        bytes.make_ascii_lowercase();
        Some(lower)
    }

    /// `name`, which hickory holds to the same limits.
    pub(crate) fn of(name: &Name) -> Option<Self> {
        let mut lower = Self { bytes: [0; MAX_NAME + 1], len: 0 };
        for label in name.iter() {
            let end = lower.len + 1 + label.len();
            let room = lower.bytes.get_mut(lower.len..end).filter(|_| end <= MAX_NAME)?;
            room[0] = u8::try_from(label.len()).ok()?;
            room[1..].copy_from_slice(label);
            lower.len = end;
        }
        lower.bytes.make_ascii_lowercase();
        Some(lower)
    }

    pub(crate) fn as_wire(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// `name` in dotted form as a key; none if a label is empty or above 63 octets, or all above 254. Nothing is escaped:
/// every octet but the dot stands for itself.
pub(crate) fn key_of_text(name: &str) -> Option<Vec<u8>> {
    let mut key = Vec::with_capacity(name.len() + 1);
    for label in name.split('.') {
        push_label(&mut key, label.as_bytes())?;
    }
    key.make_ascii_lowercase();
    Some(key)
}

/// Adds a label; none if it or the whole becomes too long, or it is empty.
pub(crate) fn push_label(key: &mut Vec<u8>, label: &[u8]) -> Option<()> {
    let len = u8::try_from(label.len()).ok().filter(|len| (1..=MAX_LABEL).contains(&usize::from(*len)))?;
    key.push(len);
    key.extend(label);
    (key.len() <= MAX_NAME).then_some(())
}

/// Start and length of each label of a name in wire form without its root.
pub(crate) fn labels(wire: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let len = usize::from(*wire.get(at)?);
        let start = at;
        at += 1 + len;
        Some((start, len))
    })
}

/// A key as hickory's name.
pub(crate) fn name_of(wire: &[u8]) -> Name {
    let mut name =
        Name::from_labels(labels(wire).filter_map(|(at, len)| wire.get(at + 1..at + 1 + len))).unwrap_or_default();
    name.set_fqdn(true);
    name
}

/// A key in dotted form for people, with the final dot.
pub(crate) fn text_of(wire: &[u8]) -> String {
    name_of(wire).to_string()
}

/// The key of `name`, if it is at or below `origin`: what stands before it.
pub(crate) fn below<'a>(name: &'a [u8], origin: &[u8]) -> Option<&'a [u8]> {
    let at = name.len().checked_sub(origin.len())?;
    let is_label = at == name.len() || labels(name).any(|(start, _)| start == at);
    (is_label && name[at..] == *origin).then_some(&name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_below_an_origin_at_label_boundaries_alone() {
        let key = |name| key_of_text(name).unwrap();
        for (name, origin, relative) in [
            ("a.b.test", "b.test", Some("a")),
            ("b.test", "b.test", Some("")),
            ("xb.test", "b.test", None),
            ("test", "b.test", None),
            ("A.B.test", "b.TEST", Some("a")),
        ] {
            let relative = relative.map(|r| if r.is_empty() { Vec::new() } else { key(r) });
            assert_eq!(below(&key(name), &key(origin)).map(<[u8]>::to_vec), relative, "{name} {origin}");
        }
        // The label `x\001b` ends in the bytes of the label `b`.
        assert_eq!(below(b"\x03x\x01b", b"\x01b"), None);
    }

    #[test]
    fn what_no_name_can_be_has_no_key() {
        let long = "a".repeat(64);
        let many = ["a".repeat(63).as_str(); 4].join(".");
        for name in ["", ".", "a..b", "a.", &long, &many] {
            assert_eq!(key_of_text(name), None, "{name}");
        }
    }
}
