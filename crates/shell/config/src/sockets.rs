use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use crate::config::Origin;
use crate::problem::Problem;
use crate::reader::{Context, Node};

/// Who listens where, to find two on one address and port.
#[derive(Default)]
pub(crate) struct Sockets {
    claims: Vec<Claim>,
    /// The listen addresses of the process itself, which may be unspecified ones.
    listens: Vec<Claim>,
}

/// What a socket speaks: one address and port hold one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Transport {
    Tcp,
    Udp,
}

struct Claim {
    transport: Transport,
    address: IpAddr,
    ports: RangeInclusive<u16>,
    owner: String,
    origin: Origin,
    /// What is reported if this claim is the one too many.
    problem: Problem,
    is_users: bool,
}

impl Sockets {
    /// Notes that `owner`, configured at `place`, listens on these ports of an address.
    pub(crate) fn claim(
        &mut self,
        place: &Node<'_>,
        transport: Transport,
        address: IpAddr,
        ports: RangeInclusive<u16>,
        owner: String,
    ) {
        self.claims.push(Claim::new(place, transport, address, ports, owner));
    }

    /// Notes a listen address of the process. Port 0 takes a free one and clashes with nothing.
    pub(crate) fn listen(&mut self, place: &Node<'_>, transports: &[Transport], at: SocketAddr, owner: &str) {
        if at.port() == 0 {
            return;
        }
        for transport in transports {
            let ports = at.port()..=at.port();
            self.listens.push(Claim::new(place, *transport, at.ip(), ports, owner.to_owned()));
        }
    }

    /// Reports every clash. An unspecified listen address (0.0.0.0, ::) is compared with the other listen addresses
    /// alone: which host it stands for, and so which resources live there, is not known before a role runs.
    pub(crate) fn check(mut self, cx: &Context<'_>) {
        for (i, a) in self.listens.iter().enumerate() {
            for b in &self.listens[i + 1..] {
                let same = a.transport == b.transport && a.ports == b.ports && a.address != b.address;
                if same && (a.address.is_unspecified() || b.address.is_unspecified()) {
                    report(cx, a, b);
                }
            }
        }
        self.claims.append(&mut self.listens);
        // In this order a claim overlaps an earlier one only if it overlaps the one that reaches furthest so far.
        self.claims.sort_by(|a, b| {
            let key = |c: &Claim| (c.transport, c.address, *c.ports.start(), *c.ports.end());
            key(a).cmp(&key(b)).then_with(|| a.owner.cmp(&b.owner))
        });
        let mut furthest: Option<&Claim> = None;
        for claim in &self.claims {
            match furthest {
                Some(far)
                    if (far.transport, far.address) == (claim.transport, claim.address)
                        && far.ports.end() >= claim.ports.start() =>
                {
                    if far.owner != claim.owner {
                        report(cx, far, claim);
                    }
                    if claim.ports.end() > far.ports.end() {
                        furthest = Some(claim);
                    }
                }
                _ => furthest = Some(claim),
            }
        }
    }
}

impl Claim {
    fn new(place: &Node<'_>, transport: Transport, address: IpAddr, ports: RangeInclusive<u16>, owner: String) -> Self {
        let (cx, tag) = (place.cx, Some(place.value.tag()));
        Self {
            transport,
            address: address.to_canonical(),
            ports,
            owner,
            origin: place.origin(),
            problem: cx.merged.problem(&place.path, tag, String::new()),
            is_users: cx.merged.is_users(place.value.tag()),
        }
    }
}

/// Reports the user's claim, or the later one, and names the other.
fn report(cx: &Context<'_>, a: &Claim, b: &Claim) {
    let (one, other) = if a.is_users && !b.is_users { (a, b) } else { (b, a) };
    let port = one.ports.start().max(other.ports.start());
    let message = format!("clash: {} port {port} is taken by {} ({})", one.address, other.owner, other.origin);
    cx.push(Problem { message, ..one.problem.clone() });
}
