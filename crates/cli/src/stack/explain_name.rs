use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;

use ipnet::IpNet;
use perigee_admin::ExplainName;
use perigee_config::Config;
use perigee_dataplane::EdgeView;
use perigee_model::{DnsZone, PolicyNameIndex, ZoneIndex};
use perigee_steering::{DnsClient, PolicyExplanation, TreeIndex};
use serde::{Deserialize, Serialize};

use super::Stack;
use super::explain::healthy;
use crate::geography::Geography;

/// Bits of a client's address that resolvers pass on, of IPv4 and IPv6 (RFC 7871 section 11.1).
const PASSED_ON: (u8, u8) = (24, 56);

/// The explanation of a name's answer with what it was made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExplainedName {
    /// Whether a running stack's health was used; otherwise everything counts as healthy.
    pub(crate) live: bool,
    /// Why the answer is what it is.
    #[serde(flatten)]
    pub(crate) explanation: PolicyExplanation,
    /// Whose geographic data it is.
    pub(crate) attribution: Option<String>,
}

impl Stack {
    /// Explains a name's answer with the health of now.
    ///
    /// Errors: in words; the name has no policy, or this process has no front tier.
    pub(crate) fn explain_name(&self, client: IpAddr, asked: &ExplainName) -> Result<ExplainedName, String> {
        let front = self.front.as_ref().ok_or("this process has no front tier; ask an edge or a DNS server")?;
        let explanation = explain(&front.view(), client, asked)?;
        Ok(ExplainedName { live: true, explanation, attribution: self.attribution().map(str::to_owned) })
    }
}

/// Explains a name's answer from the configuration alone: everything counts as healthy.
pub(crate) fn offline_name(config: &Config, client: IpAddr, asked: &ExplainName) -> Result<ExplainedName, String> {
    let geography = Geography::load(config)?;
    let explanation = explain(healthy(config, &geography)?.view(), client, asked)?;
    Ok(ExplainedName { live: false, explanation, attribution: geography.attribution.map(str::to_owned) })
}

fn explain(view: &EdgeView, client: IpAddr, asked: &ExplainName) -> Result<PolicyExplanation, String> {
    let dns = &view.snapshot.dns;
    let name = asked.name.strip_suffix('.').unwrap_or(&asked.name).to_ascii_lowercase();
    let Some((tree, zone)) = find(view, &name) else {
        let mut known: Vec<String> = names(dns).map(|(name, _)| name).collect();
        let more = if known.len() > 10 { ", …" } else { "" };
        known.truncate(10);
        return Err(format!("no policy decides {name}; there are {}{more}", known.join(", ")));
    };
    let kind = view.trees().kind(&asked.record_type);
    let kind = kind.ok_or_else(|| format!("no name with a policy has the type {}", asked.record_type))?;
    let network = asked.resolver.filter(|_| dns.zone(zone).client_subnet).map(|_| passed_on(client));
    let client = DnsClient { network, resolver: asked.resolver.unwrap_or(client) };
    // A policy that draws does so for every query; this is one of them.
    let draw = RandomState::new().build_hasher().finish();
    Ok(view.explain_policy(tree, kind, &client, draw))
}

fn passed_on(client: IpAddr) -> (IpAddr, u8) {
    let bits = if client.is_ipv4() { PASSED_ON.0 } else { PASSED_ON.1 };
    // Neither is longer than an address of its family.
    (IpNet::new_assert(client, bits).network(), bits)
}

/// All names with a policy, whole, and their zones: the policy names, then the latency names.
fn names(dns: &DnsZone) -> impl Iterator<Item = (String, ZoneIndex)> {
    let latency = dns.latency_names.iter().map(|n| (format!("{}.{}", n.label, dns.origin), ZoneIndex(0)));
    dns.policy_names.iter().map(|n| (n.name.clone(), n.zone)).chain(latency)
}

/// The tree that answers `name`: its own, or that of the wildcard at the closest name above that exists (RFC 4592
/// section 3.3.1). Records of zone files, which might be closer, are not looked at.
fn find(view: &EdgeView, name: &str) -> Option<(TreeIndex, ZoneIndex)> {
    let dns = &view.snapshot.dns;
    let all: Vec<(String, ZoneIndex)> = names(dns).collect();
    let position = all.iter().position(|(n, _)| n == name).or_else(|| {
        let mut above = name;
        while let Some((_, rest)) = above.split_once('.') {
            above = rest;
            let below = format!(".{above}");
            let is_apex = dns.zones.iter().any(|z| z.origin == above);
            if is_apex || all.iter().any(|(n, _)| n == above || n.ends_with(&below)) {
                let wildcard = format!("*{below}");
                return all.iter().position(|(n, _)| *n == wildcard);
            }
        }
        None
    })?;
    let trees = view.trees();
    let tree = match position.checked_sub(dns.policy_names.len()) {
        Some(latency) => trees.of_latency_name(latency),
        None => trees.of_policy_name(PolicyNameIndex(position)),
    };
    Some((tree, all[position].1))
}

#[cfg(test)]
mod tests {
    use perigee_config::Layers;

    use super::*;

    const MAIN: &str = r#"
        [dns.names.app]
        policy = "latency"
        load_balancer = "shop"
        [dns.names."*.shops"]
        policy = "geolocation"
        records = [
          { country = "KR", policy = "failover", records = [
            { failover = "PRIMARY", addresses = ["192.0.2.1"] },
            { failover = "SECONDARY", addresses = ["192.0.2.2"] },
          ] },
          { location = "*", addresses = ["192.0.2.3"], values = { TXT = ["\"far\""] } },
        ]
        [dns.names."a.shops"]
        policy = "simple"
        addresses = ["192.0.2.4"]
    "#;

    fn explained(name: &str, record_type: &str, client: &str, resolver: Option<&str>) -> Result<ExplainedName, String> {
        let config = Layers::from_strings(Some(MAIN), &[]).load().unwrap();
        let resolver = resolver.map(|r| r.parse().unwrap());
        let asked = ExplainName { name: name.to_owned(), record_type: record_type.to_owned(), resolver };
        offline_name(&config, client.parse().unwrap(), &asked)
    }

    #[test]
    fn a_tree_is_explained_from_the_configuration_alone() {
        let seoul = explained("b.shops.perigee.test.", "A", "127.82.200.9", None).unwrap();
        assert!(!seoul.live);
        assert_eq!(seoul.explanation.answers, ["192.0.2.1"]);
        assert_eq!(seoul.explanation.path.len(), 2, "{}", seoul.explanation);
        let tokyo = explained("B.Shops.perigee.test", "A", "127.81.200.9", None).unwrap();
        assert_eq!(tokyo.explanation.answers, ["192.0.2.3"]);
        let text = tokyo.explanation.to_string();
        assert!(text.contains("country-KR") && text.contains("default"), "what was passed over: {text}");
    }

    #[test]
    fn a_resolver_passes_on_the_clients_network() {
        let through = explained("app.perigee.test", "A", "127.81.200.9", Some("127.82.200.53")).unwrap().explanation;
        assert_eq!(through.client_subnet.as_deref(), Some("127.81.200.0/24"));
        assert_eq!(through.resolver, "127.82.200.53".parse::<IpAddr>().unwrap());
        assert!(through.place.contains("Tokyo"), "{}", through.place);
        assert_eq!(explained("app.perigee.test", "A", "127.81.200.9", None).unwrap().explanation.client_subnet, None);
    }

    #[test]
    fn names_and_types_without_a_policy_are_refused_in_words() {
        let error = explained("shop.accelerator.perigee.test", "A", "127.0.0.1", None).unwrap_err();
        assert!(error.contains("app.perigee.test"), "{error}");
        // RFC 4592: `a.shops` exists, so the wildcard does not reach below it.
        assert!(explained("x.a.shops.perigee.test", "A", "127.0.0.1", None).is_err());
        assert!(explained("app.perigee.test", "NOTYPE", "127.0.0.1", None).is_err());
    }

    #[test]
    fn an_explanation_survives_the_way_over_the_admin_api() {
        let made = explained("app.perigee.test", "AAAA", "127.81.200.9", Some("::1")).unwrap();
        let read: ExplainedName = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
        assert_eq!(read, made);
    }
}
