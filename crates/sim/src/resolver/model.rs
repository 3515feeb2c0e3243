use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Invalid;

/// A day in seconds: what Unbound caps TTLs at unless told otherwise (`cache-max-ttl`). RFC 8767 section 4 wants a cap
/// of days to weeks.
const DAY_S: u32 = 86_400;

/// Resolvers of one kind, as a scenario's `[[resolver]]` states them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResolverModel {
    /// What it is called, unique; faults name it.
    pub name: String,
    /// Share of the clients that use it, 0 to 1; all shares together are 1.
    pub share: f64,
    /// Whether it sends the client's network to the server (RFC 7871) and keeps answers for each network.
    #[serde(default)]
    pub ecs: bool,
    /// No answer is kept for less, seconds, 0 to 86,400. Default 0.
    #[serde(default)]
    pub ttl_min_s: u32,
    /// No answer is kept for longer, seconds, 1 to 604,800. Default 86,400, as Unbound.
    #[serde(default = "day")]
    pub ttl_max_s: u32,
    /// How long beyond its TTL an answer may be given when the server does not answer, seconds, 0 to 604,800; 0 is
    /// never. Default 0. RFC 8767 section 5 suggests one to three days.
    #[serde(default)]
    pub serve_stale_s: u32,
    /// Where it stands. Default near.
    #[serde(default, rename = "where")]
    pub stands: Stands,
}

/// Where a resolver stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Stands {
    /// With its clients: one for the clients of each country and edge, in the city with the most of them.
    #[default]
    Near,
    /// One for the whole world, in the city nearest to the region or the edge with this code.
    At(String),
}

impl From<String> for Stands {
    fn from(text: String) -> Self {
        if text == "near" { Self::Near } else { Self::At(text) }
    }
}

impl From<Stands> for String {
    fn from(stands: Stands) -> Self {
        stands.to_string()
    }
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Near => f.pad("near"),
            Self::At(code) => f.pad(code),
        }
    }
}

const fn day() -> u32 {
    DAY_S
}

impl ResolverModel {
    /// Resolvers called `name` for this share of the clients: near, without ECS, TTLs as they come up to a day.
    pub fn new(name: &str, share: f64) -> Self {
        Self {
            name: name.to_owned(),
            share,
            ecs: false,
            ttl_min_s: 0,
            ttl_max_s: DAY_S,
            serve_stale_s: 0,
            stands: Stands::Near,
        }
    }

    /// The resolvers of a scenario that names none: 60 % of the clients ask their provider's, 30 % a public one with
    /// ECS, 10 % a provider's that keeps every answer for 300 s at least.
    ///
    /// Perigee's choice: the three kinds that fail over differently; their shares vary by country and year.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("provider", 0.6),
            Self { ecs: true, ..Self::new("public", 0.3) },
            Self { ttl_min_s: 300, ..Self::new("floor", 0.1) },
        ]
    }

    fn check(&self) -> Result<(), Invalid> {
        let field = |field: &str| format!("resolver.{}.{field}", self.name);
        Invalid::unless_within(&field("share"), self.share, 0.0, 1.0)?;
        Invalid::unless_within(&field("ttl_min_s"), self.ttl_min_s, 0, DAY_S)?;
        Invalid::unless_within(&field("ttl_max_s"), self.ttl_max_s, 1, 7 * DAY_S)?;
        Invalid::unless_within(&field("serve_stale_s"), self.serve_stale_s, 0, 7 * DAY_S)?;
        if self.ttl_min_s > self.ttl_max_s {
            let problem = format!("must not be above ttl_max_s, which is {}", self.ttl_max_s);
            return Err(Invalid::new(field("ttl_min_s"), problem));
        }
        Ok(())
    }
}

/// Whether the resolvers can be used together: 1 to 64 of them, each within its ranges, names unique, shares that add
/// up to 1 (a thousandth more or less is rounding and evened out).
///
/// Errors: the first problem.
pub fn check_resolvers(resolvers: &[ResolverModel]) -> Result<(), Invalid> {
    if resolvers.is_empty() || resolvers.len() > 64 {
        return Err(Invalid::new("resolver", format!("1 to 64 are expected, not {}", resolvers.len())));
    }
    let mut names = BTreeSet::new();
    for (i, resolver) in resolvers.iter().enumerate() {
        if resolver.name.is_empty() {
            return Err(Invalid::new(format!("resolver[{i}].name"), "must not be empty"));
        }
        if !names.insert(resolver.name.as_str()) {
            return Err(Invalid::new(format!("resolver[{i}].name"), format!("{:?} is given twice", resolver.name)));
        }
        resolver.check()?;
    }
    let sum: f64 = resolvers.iter().map(|r| r.share).sum();
    if (sum - 1.0).abs() > 0.001 {
        return Err(Invalid::new("resolver", format!("the shares must add up to 1, not {sum}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_can_be_used() {
        assert_eq!(check_resolvers(&ResolverModel::defaults()), Ok(()));
    }

    #[test]
    fn a_resolver_is_read_from_a_scenario() {
        #[derive(Deserialize)]
        struct Scenario {
            resolver: Vec<ResolverModel>,
        }
        let read = |text: &str| toml_edit::de::from_str::<Scenario>(text).map_err(|e| e.to_string());
        let text = "[[resolver]]\nname = \"a\"\nshare = 0.25\n[[resolver]]\nname = \"far\"\nshare = 0.75\necs = true\n\
            ttl_min_s = 1\nttl_max_s = 20\nserve_stale_s = 300\nwhere = \"us-east-1\"\n";
        let far = ResolverModel {
            name: "far".to_owned(),
            share: 0.75,
            ecs: true,
            ttl_min_s: 1,
            ttl_max_s: 20,
            serve_stale_s: 300,
            stands: Stands::At("us-east-1".to_owned()),
        };
        assert_eq!(read(text).unwrap().resolver, [ResolverModel::new("a", 0.25), far]);
        assert!(read("[[resolver]]\nname = \"a\"\nshare = 1.0\nttl = 5\n").err().unwrap().contains("ttl"));
        assert!(read("[[resolver]]\nname = \"a\"\n").err().unwrap().contains("share"));
    }

    #[test]
    fn every_wrong_list_is_named() {
        type Change = fn(&mut Vec<ResolverModel>);
        let cases: [(Change, &str); 9] = [
            (|r| r.clear(), "resolver: 1 to 64 are expected, not 0"),
            (|r| r[1].name.clear(), "resolver[1].name: must not be empty"),
            (|r| r[2].name = "provider".to_owned(), "resolver[2].name: \"provider\" is given twice"),
            (|r| r[1].share = 1.5, "resolver.public.share: must be 0 to 1"),
            (|r| r[1].share = f64::NAN, "resolver.public.share: must be 0 to 1"),
            (|r| r[1].share = 0.2, "resolver: the shares must add up to 1, not 0.9"),
            (|r| r[0].ttl_max_s = 0, "resolver.provider.ttl_max_s: must be 1 to 604800"),
            (|r| r[2].ttl_max_s = 60, "resolver.floor.ttl_min_s: must not be above ttl_max_s, which is 60"),
            (|r| r[0].serve_stale_s = 604_801, "resolver.provider.serve_stale_s: must be 0 to 604800"),
        ];
        for (change, expected) in cases {
            let mut resolvers = ResolverModel::defaults();
            change(&mut resolvers);
            let error = check_resolvers(&resolvers).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}, expected {expected}");
        }
    }
}
