use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use siphasher::sip128::{Hasher128, SipHasher24};

use crate::AcceleratorName;

/// An AWS account's number: 12 digits, leading zeros included. Default 000000000000.
///
/// Nobody is asked whether the account exists: it only names things, such as the files of flow logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(u64);

impl AccountId {
    /// The account with this number. None above 999,999,999,999.
    pub const fn new(number: u64) -> Option<Self> {
        if number > 999_999_999_999 { None } else { Some(Self(number)) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012}", self.0)
    }
}

impl FromStr for AccountId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let digits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok().and_then(Self::new)).flatten().ok_or(NotAnId("12 digits"))
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What stands last in an accelerator's ARN: a UUID, which flow logs and metrics name it by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceleratorId(u128);

impl AcceleratorId {
    /// The identifier of the accelerator of this name: a UUID of version 8, the same on every machine, so that the
    /// logs of all edges agree (RFC 9562 section 5.8; Perigee's choice while nothing hands out ARNs).
    pub fn of(name: &AcceleratorName) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(b"perigee accelerator ");
        hasher.write(name.as_str().as_bytes());
        const VERSION: u128 = 0xf << 76;
        const VARIANT: u128 = 0b11 << 62;
        Self(hasher.finish128().as_u128() & !VERSION & !VARIANT | 0x8 << 76 | 0b10 << 62)
    }

    /// The identifier with these bits, the first digit in the highest.
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }
}

impl fmt::Display for AcceleratorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |shift: u32, digits: u32| (self.0 >> shift) & ((1 << (4 * digits)) - 1);
        let (a, b, c, d, e) = (group(96, 8), group(80, 4), group(64, 4), group(48, 4), group(0, 12));
        write!(f, "{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}")
    }
}

impl FromStr for AcceleratorId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        const ERROR: NotAnId = NotAnId("a UUID in small letters");
        if text.len() != 36 {
            return Err(ERROR);
        }
        let mut bits = 0;
        for (i, byte) in text.bytes().enumerate() {
            let digit = match (i, byte) {
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return Err(ERROR),
                (_, b'0'..=b'9') => byte - b'0',
                (_, b'a'..=b'f') => byte - b'a' + 10,
                _ => return Err(ERROR),
            };
            bits = bits << 4 | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

impl Serialize for AcceleratorId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is not the identifier it should be; it says what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId(&'static str);

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be {}", self.0)
    }
}

impl std::error::Error for NotAnId {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_twelve_digits() {
        let account: AccountId = "000000000042".parse().unwrap();
        assert_eq!(account, AccountId::new(42).unwrap());
        assert_eq!(account.to_string(), "000000000042");
        assert_eq!(AccountId::new(1_000_000_000_000), None);
        for wrong in ["", "42", "+00000000042", "0000000000421", "00000000004x", "००००"] {
            assert!(wrong.parse::<AccountId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_accelerators_identifier_is_a_uuid_of_version_8_that_follows_from_its_name() {
        let [a, b] = ["shop", "shop2"].map(|name| AcceleratorId::of(&AcceleratorName::new(name)));
        assert_eq!(a, AcceleratorId::of(&AcceleratorName::new("shop")));
        assert_ne!(a, b);
        let text = a.to_string();
        assert_eq!(text.parse(), Ok(a));
        assert_eq!((text.len(), &text[14..15]), (36, "8"));
        assert!("89ab".contains(&text[19..20]), "{text}");
    }

    #[test]
    fn what_is_no_uuid_in_small_letters_is_refused() {
        let good = "5ba8bd7f-1c33-4ad5-8b7d-0123456789ab";
        assert_eq!(good.parse::<AcceleratorId>().unwrap().to_string(), good);
        for wrong in ["", &good[1..], &good.to_uppercase(), &good.replace('-', "_"), &format!("{good}0")] {
            assert!(wrong.parse::<AcceleratorId>().is_err(), "{wrong}");
        }
    }
}
