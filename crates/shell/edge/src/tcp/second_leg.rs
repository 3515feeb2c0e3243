use std::net::IpAddr;

use perigee_model::{Behaviour, Settings};
use perigee_net::proxy_protocol;
use perigee_steering::{Approach, Candidate, Flow, ProxyHeader};

/// How the second connection tells the endpoint who the client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SecondLeg {
    /// The address it starts from; the kernel's choice if none.
    pub(super) source: Option<IpAddr>,
    /// What it says first.
    pub(super) greeting: Greeting,
}

/// What a second connection says before the client's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    /// Nothing: its source is the client's address, or nobody is to know it.
    None,
    /// A PROXY header.
    Header {
        /// Whether it names the client.
        names_client: bool,
        /// Whether the node is to confirm it: a stopped node's kernel still accepts, and only the node's own word says
        /// that somebody is there.
        confirmed: bool,
    },
}

impl SecondLeg {
    /// The way to `candidate` for `flow`.
    ///
    /// Source: `global-accelerator.md` section 7.3, "Perigee mechanics".
    pub(super) fn of(settings: &Settings, flow: &Flow, candidate: &Candidate) -> Self {
        let Approach { source, header } = candidate.approach(flow.client.ip(), settings.client_ip);
        let confirmed = settings.behaviour == Behaviour::Fast;
        let greeting = header.map_or(Greeting::None, |header| Greeting::Header {
            names_client: header == ProxyHeader::Client,
            confirmed,
        });
        Self { source, greeting }
    }

    /// The greeting's bytes, of the edge called `edge`; empty if there is none.
    pub(super) fn greeting(&self, flow: &Flow, edge: &str) -> Vec<u8> {
        let Greeting::Header { names_client, confirmed } = self.greeting else { return Vec::new() };
        let header = if names_client {
            proxy_protocol::encode(flow.client, flow.destination, edge)
        } else {
            proxy_protocol::encode_local()
        };
        if confirmed { proxy_protocol::asking_for_confirmation(header) } else { header }
    }

    /// Whether a confirmation is waited for.
    pub(super) const fn is_confirmed(&self) -> bool {
        matches!(self.greeting, Greeting::Header { confirmed: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use perigee_model::{ClientIp, LoadBalancerIndex, RegionIndex, fixtures};
    use perigee_steering::Via;

    use super::*;

    fn leg(client_ip: ClientIp, behaviour: Behaviour, client: [u8; 4], preserved: bool) -> SecondLeg {
        let mut settings = fixtures::snapshot(&["ap-northeast-1"]).settings;
        (settings.client_ip, settings.behaviour) = (client_ip, behaviour);
        let flow = Flow::tcp((client, 4_000).into(), ([127, 75, 2, 1], 8080).into());
        let candidate = Candidate {
            group: 0,
            endpoint: 0,
            region: RegionIndex(0),
            via: Via::Node { load_balancer: LoadBalancerIndex(0), node: 0 },
            address: ([127, 81, 1, 1], 8080).into(),
            client_ip_preservation: preserved,
        };
        SecondLeg::of(&settings, &flow, &candidate)
    }

    #[test]
    fn on_loopback_the_clients_address_is_the_source_and_elsewhere_a_header_says_it() {
        let near = [127, 82, 200, 9];
        let bound = leg(ClientIp::Auto, Behaviour::Fast, near, true);
        assert_eq!((bound.source, bound.greeting), (Some(near.into()), Greeting::None));
        let far = leg(ClientIp::Auto, Behaviour::Fast, [203, 0, 113, 7], true);
        assert_eq!(far.greeting, Greeting::Header { names_client: true, confirmed: true });
        assert!(far.source.is_none() && far.is_confirmed());
        let aws = leg(ClientIp::ProxyV2, Behaviour::Aws, near, true);
        assert_eq!(aws.greeting, Greeting::Header { names_client: true, confirmed: false });
    }

    #[test]
    fn without_preservation_nobody_learns_who_the_client_is() {
        let bound = leg(ClientIp::Bind, Behaviour::Fast, [127, 82, 200, 9], false);
        assert_eq!((bound.source, bound.greeting), (None, Greeting::None));
        let header = leg(ClientIp::ProxyV2, Behaviour::Aws, [127, 82, 200, 9], false);
        let flow = Flow::tcp(([127, 82, 200, 9], 1).into(), ([127, 75, 2, 1], 8080).into());
        assert_eq!(header.greeting(&flow, "ICN"), proxy_protocol::encode_local());
    }
}
